// What each class of methods conserves (docs/algorithms.md), with missed rounds, abstentions and
// exchanges in which nobody counted. The accounts are the references', whose every message and
// every residual is the methods'.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "client/exchanger.h"
#include "client/optimizers/birder.h"
#include "client/optimizers/sketched_amsgrad.h"
#include "client/optimizers/sketched_sgd.h"
#include "client/optimizers/topk_sgd.h"
#include "client/saved_state.h"
#include "codecs/layout.h"
#include "gtest/gtest.h"
#include "kernels/backend.h"
#include "tests/reference/birder_reference.h"
#include "tests/reference/compared_training.h"
#include "tests/reference/method_reference.h"
#include "tests/reference/reference_ledger.h"
#include "tests/reference/reference_payload.h"
#include "tests/reference/sketched_amsgrad_reference.h"
#include "tests/reference/sketched_sgd_reference.h"
#include "tests/reference/topk_sgd_reference.h"
#include "tests/reference/training_script.h"

namespace tally {
namespace {

constexpr uint64_t kRounds = 100;

enum class Inputs { kDyadic, kAny };

ComparedTraining TrainingOf(const MethodReferenceOptions& problem, Inputs inputs) {
  return ComparedTraining(problem, {.rounds = kRounds, .dyadic = inputs == Inputs::kDyadic});
}

MethodReferenceOptions Problem(size_t num_groups) {
  return {.model = {.tensors = SmallIrregularTensors(),
                    .chunk_elements = 512,
                    .num_groups = num_groups},
          .num_workers = 4,
          .run_seed = 31,
          .learning_rate = 1e-3f};
}

// --- Additive: the sum of all inputs is the sum of what was counted, and the residual. Of dyadic
// --- inputs exactly; of others within one rounding a round.

void ExpectNothingLost(const std::vector<ReferenceLedger>& ledgers, Inputs inputs) {
  for (const ReferenceLedger& ledger : ledgers) {
    const double bound =
        inputs == Inputs::kDyadic ? 0.0 : kRounds * std::ldexp(1.0, -23) * ledger.largest_sum;
    size_t num_kept = 0;
    size_t num_taken_out = 0;
    for (size_t i = 0; i < ledger.sums.size(); ++i) {
      ASSERT_NEAR(ledger.put_in[i], ledger.taken_out[i] + ledger.sums[i], bound) << "element " << i;
      num_kept += ledger.sums[i] != 0.0f ? 1 : 0;
      num_taken_out += ledger.taken_out[i] != 0.0 ? 1 : 0;
    }
    EXPECT_GT(num_kept, 100u);
    EXPECT_GT(num_taken_out, 100u);
  }
}

LookAtState ExpectResidual(const char* name, const std::vector<ReferenceLedger>& ledgers,
                           size_t num_compressed) {
  return [=, &ledgers](size_t worker, const SavedState& state) {
    ExpectSavedValues(state, name, absl::MakeConstSpan(ledgers[worker].sums).first(num_compressed));
  };
}

class AdditiveLedgerTest : public testing::TestWithParam<Inputs> {};

TEST_P(AdditiveLedgerTest, TopkSgdLosesNothing) {
  const TopkSgdReferenceOptions problem = {.method = Problem(/*num_groups=*/0), .share = 0.03};
  const ComparedTraining training = TrainingOf(problem.method, GetParam());
  TopkSgdReference reference(problem);
  const Transcript transcript = training.Play(reference);
  ExpectEveryFault(transcript);
  ExpectSameBits(
      training, transcript,
      [&](Exchanger* exchanger, const Backend* backend) {
        return CreateTopkSgd(exchanger, {.sgd = {.learning_rate = problem.method.learning_rate,
                                                 .method = {.backend = backend}},
                                         .share = problem.share});
      },
      ExpectResidual("residual", reference.ledgers(), training.layout().num_compressed()));
  ExpectNothingLost(reference.ledgers(), GetParam());
}

// With values in 16 bits too: what rounding leaves out stays.
TEST_P(AdditiveLedgerTest, SketchedSgdLosesNothing) {
  for (const reference::Format format :
       {reference::Format::kFloat32, reference::Format::kBFloat16}) {
    SketchedSgdReferenceOptions problem = {
        .method = Problem(/*num_groups=*/5),
        .sketch = {.num_updated = 40, .columns = 230, .values_format = format}};
    // With momentum the inputs are no multiples of 1/64 any more.
    problem.momentum = GetParam() == Inputs::kDyadic ? 0.0f : 0.9f;
    const ComparedTraining training = TrainingOf(problem.method, GetParam());
    SketchedSgdReference reference(problem);
    const Transcript transcript = training.Play(reference);
    ExpectEveryFault(transcript);
    ExpectSameBits(
        training, transcript,
        [&](Exchanger* exchanger, const Backend* backend) {
          return CreateSketchedSgd(
              exchanger,
              {.sgd = {.learning_rate = problem.method.learning_rate,
                       .momentum = problem.momentum,
                       .method = {.backend = backend}},
               .sketch = {.num_updated = 40, .columns = 230, .values_dtype = DTypeOf(format)}});
        },
        ExpectResidual("residual_sum", reference.ledgers(), training.layout().num_compressed()));
    ExpectNothingLost(reference.ledgers(), GetParam());
  }
}

// After a warm-up, whose rounds are dense. Without beta1 and with a power of two as learning rate,
// inputs are dyadic if gradients are.
TEST_P(AdditiveLedgerTest, SketchedAmsgradLosesNothing) {
  SketchedAmsgradReferenceOptions problem = {.method = Problem(/*num_groups=*/5),
                                             .sketch = {.num_updated = 40, .columns = 230},
                                             .warmup_rounds = 10};
  problem.method.learning_rate = 1.0f / 64;
  problem.adam.beta1 = GetParam() == Inputs::kDyadic ? 0.0f : 0.9f;
  const ComparedTraining training = TrainingOf(problem.method, GetParam());
  SketchedAmsgradReference reference(problem);
  const Transcript transcript = training.Play(reference);
  ExpectEveryFault(transcript);
  ExpectSameBits(
      training, transcript,
      [&](Exchanger* exchanger, const Backend* backend) {
        return CreateSketchedAmsgrad(exchanger,
                                     {.adam = {.learning_rate = problem.method.learning_rate,
                                               .beta1 = problem.adam.beta1,
                                               .backend = backend},
                                      .sketch = {.num_updated = 40, .columns = 230},
                                      .warmup_rounds = problem.warmup_rounds});
      },
      ExpectResidual("residual_sum", reference.ledgers(), training.layout().num_compressed()));
  ExpectNothingLost(reference.ledgers(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(AllInputs, AdditiveLedgerTest,
                         testing::Values(Inputs::kDyadic, Inputs::kAny),
                         [](const testing::TestParamInfo<Inputs>& parameter) {
                           return parameter.param == Inputs::kDyadic ? "Dyadic" : "Any";
                         });

// --- Memoryless: what was offered was counted or missed.

uint64_t NumOnes(const std::string& bitmap) {
  uint64_t ones = 0;
  for (const char byte : bitmap) {
    for (int bit = 0; bit < 8; ++bit) ones += (byte >> bit) & 1;
  }
  return ones;
}

// The sum of all counts in bit planes.
uint64_t SumOfCounts(const std::string& planes, size_t bitmap_bytes) {
  uint64_t sum = 0;
  for (size_t plane = 0; plane * bitmap_bytes < planes.size(); ++plane) {
    sum += NumOnes(planes.substr(plane * bitmap_bytes, bitmap_bytes)) << plane;
  }
  return sum;
}

TEST(MemorylessLedgerTest, BirdersVotesAreCountedOnceOrMissed) {
  const BirderReferenceOptions problem = {.method = Problem(/*num_groups=*/0), .vote_counts = true};
  const ComparedTraining training = TrainingOf(problem.method, Inputs::kAny);
  BirderReference reference(problem);
  const Transcript transcript = training.Play(reference);
  ExpectEveryFault(transcript);
  ExpectSameBits(training, transcript, [&](Exchanger* exchanger, const Backend* backend) {
    return CreateBirder(exchanger, {.learning_rate = problem.method.learning_rate,
                                    .vote_counts = true,
                                    .method = {.backend = backend}});
  });
  const Layout layout = training.layout();
  uint64_t offered = 0;
  uint64_t counted = 0;
  uint64_t missed = 0;
  for (const std::vector<ReferenceMessages>& messages : transcript.rounds) {
    for (const ReferenceMessages& exchange : messages) {
      if (layout.chunks()[exchange.chunk].dense) continue;
      counted +=
          SumOfCounts(exchange.result, (layout.chunks()[exchange.chunk].num_elements + 7) / 8);
      for (size_t w = 0; w < exchange.contributions.size(); ++w) {
        const uint64_t ones = NumOnes(exchange.contributions[w]);
        offered += ones;
        missed += exchange.counted[w] ? 0 : ones;
      }
    }
  }
  EXPECT_EQ(offered, counted + missed);
  EXPECT_GT(missed, 0u);
}

}  // namespace
}  // namespace tally
