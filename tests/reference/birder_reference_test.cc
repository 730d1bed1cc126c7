// Birder against an independent implementation, bit for bit.
#include "tests/reference/birder_reference.h"

#include "absl/types/optional.h"
#include "client/optimizers/birder.h"
#include "gtest/gtest.h"
#include "tests/reference/compared_training.h"
#include "tests/reference/training_script.h"

namespace tally {
namespace {

BirderReferenceOptions Problem() {
  return {.method = {.model = {.tensors = IrregularTensors(), .chunk_elements = 8192},
                     .num_workers = 4,
                     .run_seed = 0x0123456789abcdef,
                     .learning_rate = 1e-3f,
                     .weight_decay = 0.01f}};
}

absl::optional<float> MagnitudeBeta(const BirderReferenceOptions& problem) {
  if (!problem.magnitude_beta.has_value()) return absl::nullopt;
  return *problem.magnitude_beta;
}

void ExpectSameBits(const BirderReferenceOptions& problem) {
  const ComparedTraining training(problem.method);
  BirderReference reference(problem);
  const Transcript transcript = training.Play(reference);
  ExpectEveryFault(transcript);
  EXPECT_GT(reference.num_open_draws(), 100'000u);
  ExpectSameBits(training, transcript, [&](Exchanger* exchanger, const Backend* backend) {
    return CreateBirder(exchanger, {.learning_rate = problem.method.learning_rate,
                                    .beta = problem.beta,
                                    .magnitude_beta = MagnitudeBeta(problem),
                                    .weight_decay = problem.method.weight_decay,
                                    .vote_counts = problem.vote_counts,
                                    .method = {.backend = backend}});
  });
}

TEST(BirderReferenceTest, SameBitsWithDrawnVotes) { ExpectSameBits(Problem()); }

TEST(BirderReferenceTest, SameBitsWithCounts) {
  BirderReferenceOptions problem = Problem();
  problem.vote_counts = true;
  ExpectSameBits(problem);
}

// Twenty rounds of plain means, then a memory of twenty rounds.
TEST(BirderReferenceTest, SameBitsWithALongerMemoryOfMagnitudes) {
  BirderReferenceOptions problem = Problem();
  problem.method.model = {.tensors = SmallIrregularTensors(), .chunk_elements = 512};
  problem.beta = 0.9f;
  problem.magnitude_beta = 0.95f;
  ExpectSameBits(problem);
}

}  // namespace
}  // namespace tally
