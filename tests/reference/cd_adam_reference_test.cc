// CD-Adam against an independent implementation, bit for bit, and what its tracking keeps equal.
#include "tests/reference/cd_adam_reference.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "client/exchanger.h"
#include "client/optimizers/cd_adam.h"
#include "client/optimizers/tracked_input.h"
#include "client/saved_state.h"
#include "gtest/gtest.h"
#include "kernels/backend.h"
#include "tests/reference/compared_training.h"
#include "tests/reference/reference_norm.h"
#include "tests/reference/training_script.h"

namespace tally {
namespace {

constexpr uint64_t kRounds = 100;

CdAdamReferenceOptions Problem() {
  return {.method = {.model = {.tensors = SmallIrregularTensors(), .chunk_elements = 1024},
                     .num_workers = 4,
                     .learning_rate = 0.003f,
                     .weight_decay = 0.01f},
          .block_elements = 256};
}

CreateMethod MethodOf(const CdAdamReferenceOptions& problem) {
  return [=](Exchanger* exchanger, const Backend* backend) {
    const bool signs = problem.share == 0.0;
    return CreateCdAdam(
        exchanger, {.adam = {.learning_rate = problem.method.learning_rate,
                             .beta1 = problem.adam.beta1,
                             .beta2 = problem.adam.beta2,
                             .epsilon = problem.adam.epsilon,
                             .weight_decay = problem.method.weight_decay,
                             .bias_correction = problem.adam.bias_correction,
                             .backend = backend},
                    .compressor = signs ? CdAdamCompressor::kSign : CdAdamCompressor::kTopk,
                    .tracking = problem.track_momentum ? Tracking::kMomentum : Tracking::kGradient,
                    .warmup_rounds = problem.warmup_rounds,
                    .block_elements = static_cast<uint32_t>(problem.block_elements),
                    .scale_rule = problem.scale == reference::Scale::kRootMeanSquare
                                      ? ScaleRule::kRootMeanSquare
                                      : ScaleRule::kMeanMagnitude,
                    .share = signs ? 0.01 : problem.share});
  };
}

void ExpectSameBits(const CdAdamReferenceOptions& problem) {
  const ComparedTraining training(problem.method, {.rounds = kRounds});
  CdAdamReference reference(problem);
  const Transcript transcript = training.Play(reference);
  ExpectEveryFault(transcript);
  ExpectSameBits(training, transcript, MethodOf(problem));
}

TEST(CdAdamReferenceTest, SameBitsWithSigns) { ExpectSameBits(Problem()); }

// Chunks, and blocks, that 4,096 elements do not divide.
TEST(CdAdamReferenceTest, SameBitsWithSignsOfLargeBlocks) {
  CdAdamReferenceOptions problem = Problem();
  problem.method.model = {.tensors = IrregularTensors(), .chunk_elements = 19'968};
  for (const size_t block_elements : {768u, 6656u}) {
    SCOPED_TRACE(block_elements);
    problem.block_elements = block_elements;
    ExpectSameBits(problem);
  }
}

TEST(CdAdamReferenceTest, SameBitsWithLargest) {
  CdAdamReferenceOptions problem = Problem();
  problem.share = 0.05;
  ExpectSameBits(problem);
}

TEST(CdAdamReferenceTest, SameBitsAfterAWarmup) {
  for (const double share : {0.0, 0.05}) {
    for (const bool track_momentum : {false, true}) {
      SCOPED_TRACE(share);
      SCOPED_TRACE(track_momentum);
      CdAdamReferenceOptions problem = Problem();
      problem.share = share;
      problem.track_momentum = track_momentum;
      problem.warmup_rounds = 20;
      ExpectSameBits(problem);
    }
  }
}

TEST(CdAdamReferenceTest, SameBitsByRootMeanSquares) {
  CdAdamReferenceOptions problem = Problem();
  problem.scale = reference::Scale::kRootMeanSquare;
  problem.track_momentum = true;
  problem.warmup_rounds = 10;
  ExpectSameBits(problem);
}

TEST(CdAdamReferenceTest, SameBitsWithMomentaFromTheStart) {
  CdAdamReferenceOptions problem = Problem();
  problem.track_momentum = true;
  ExpectSameBits(problem);
}

// The mean over the roster of what is tracked is what everybody shares, and the aggregator's
// residual, after every round. Returns the largest difference, in units of `bound`.
template <typename Bound>
double LargestDrift(const CdAdamReferenceOptions& problem, bool dyadic, Bound bound) {
  const ComparedTraining training(problem.method, {.rounds = kRounds, .dyadic = dyadic});
  CdAdamReference reference(problem);
  double largest = 0.0;
  const Transcript transcript = training.Play(reference, [&](uint64_t round) {
    for (size_t i = 0; i < training.layout().num_compressed(); ++i) {
      double mean = 0.0;
      for (const std::vector<float>& tracked : reference.tracked()) mean += tracked[i];
      mean /= static_cast<double>(problem.method.num_workers);
      const double drift = mean - reference.shared()[i] - reference.residual()[i];
      largest = std::max(largest, std::fabs(drift) / bound(round, reference));
    }
  });
  ExpectEveryFault(transcript);
  ExpectSameBits(
      training, transcript, MethodOf(problem), [&](size_t worker, const SavedState& saved) {
        const size_t d = training.layout().num_compressed();
        ExpectSavedValues(saved, "tracked",
                          absl::MakeConstSpan(reference.tracked()[worker]).first(d));
        ExpectSavedValues(saved, "shared", absl::MakeConstSpan(reference.shared()).first(d));
      });
  return largest;
}

// A round rounds what is tracked and what is shared once each; the sum over n workers n - 1 times,
// its division, the residual that joins it and the one that it leaves once each.
TEST(CdAdamLedgerTest, MeanOfTrackedIsSharedAndResidual) {
  const auto bound = [](uint64_t round, const CdAdamReference& reference) {
    const double of_sum = (4 + 2) * reference.largest_sum();
    return static_cast<double>(round + 1) * std::ldexp(1.0, -24) *
           (reference.largest_tracked() + reference.largest_shared() + of_sum);
  };
  EXPECT_LE(LargestDrift(Problem(), /*dyadic=*/false, bound), 1.0);
}

// With largest elements of dyadic gradients there is nothing to round.
TEST(CdAdamLedgerTest, MeanOfTrackedIsExactlySharedOnDyadicInputs) {
  CdAdamReferenceOptions problem = Problem();
  problem.share = 0.05;
  const auto bound = [](uint64_t, const CdAdamReference&) { return 1.0; };
  EXPECT_EQ(LargestDrift(problem, /*dyadic=*/true, bound), 0.0);
}

}  // namespace
}  // namespace tally
