// 1-bit LAMB against an independent implementation, bit for bit.
#include "tests/reference/onebit_lamb_reference.h"

#include "client/optimizers/onebit_lamb.h"
#include "gtest/gtest.h"
#include "tests/reference/compared_training.h"
#include "tests/reference/reference_norm.h"
#include "tests/reference/training_script.h"

namespace tally {
namespace {

// Blocks reach over tensors, so that the scales of momenta matter. In round 19, the last of the
// warm-up, nobody counts in a chunk: its gradients join the residuals.
OneBitLambReferenceOptions Problem() {
  return {.method = {.model = {.tensors = SmallIrregularTensors(), .chunk_elements = 1024},
                     .num_workers = 4,
                     .learning_rate = 0.01f,
                     .weight_decay = 0.01f},
          .signs = {.block_elements = 256},
          .warmup_rounds = 20};
}

struct Seen {
  size_t num_without_variance = 0;  // elements, at the freeze
  // How often the bounds of LAMB's coefficient held.
  size_t num_clamped_low = 0;
  size_t num_clamped_high = 0;
};

Seen ExpectSameBits(const OneBitLambReferenceOptions& problem,
                    const ComparedTrainingOptions& how = {}) {
  const ComparedTraining training(problem.method, how);
  OneBitLambReference reference(problem);
  const Transcript transcript = training.Play(reference);
  ExpectEveryFault(transcript);
  ExpectSameBits(training, transcript, [&](Exchanger* exchanger, const Backend* backend) {
    return CreateOneBitLamb(
        exchanger,
        {.onebit = {.adam = {.learning_rate = problem.method.learning_rate,
                             .beta1 = problem.adam.beta1,
                             .beta2 = problem.adam.beta2,
                             .epsilon = problem.adam.epsilon,
                             .weight_decay = problem.method.weight_decay,
                             .bias_correction = problem.adam.bias_correction,
                             .backend = backend},
                    .warmup_rounds = problem.warmup_rounds,
                    .scale_rule = problem.signs.scale == reference::Scale::kRootMeanSquare
                                      ? ScaleRule::kRootMeanSquare
                                      : ScaleRule::kMeanMagnitude,
                    .granularity = {.block_elements =
                                        static_cast<uint32_t>(problem.signs.block_elements)},
                    .dense_dtype = DTypeOf(problem.method.dense_format)},
         .rates = {.min_coefficient = problem.lamb.min_coefficient,
                   .max_coefficient = problem.lamb.max_coefficient,
                   .coefficient_beta = problem.lamb.coefficient_beta,
                   .min_factor = problem.lamb.min_factor,
                   .max_factor = problem.lamb.max_factor,
                   .factor_threshold = problem.lamb.factor_threshold}});
  });
  return {reference.num_without_variance(), reference.lamb().num_clamped_low(),
          reference.lamb().num_clamped_high()};
}

TEST(OneBitLambReferenceTest, SameBits) {
  EXPECT_EQ(ExpectSameBits(Problem()).num_without_variance, 0u);
}

// Tensors longer than the pieces of a norm; blocks that 4,096 elements divide, and others.
TEST(OneBitLambReferenceTest, SameBitsOfLongTensors) {
  for (const size_t block_elements : {768u, 6656u}) {
    SCOPED_TRACE(block_elements);
    OneBitLambReferenceOptions problem = Problem();
    problem.method.model = {.tensors = IrregularTensors(), .chunk_elements = 19'968};
    problem.signs.block_elements = block_elements;
    ExpectSameBits(problem);
  }
}

TEST(OneBitLambReferenceTest, SameBitsByMeanMagnitudes) {
  OneBitLambReferenceOptions problem = Problem();
  problem.signs.scale = reference::Scale::kMeanMagnitude;
  ExpectSameBits(problem);
}

TEST(OneBitLambReferenceTest, SameBitsWithoutBiasCorrectionAndDecay) {
  OneBitLambReferenceOptions problem = Problem();
  problem.adam.bias_correction = false;
  problem.method.weight_decay = 0.0f;
  ExpectSameBits(problem);
}

TEST(OneBitLambReferenceTest, SameBitsOfOtherLayerRates) {
  OneBitLambReferenceOptions problem = Problem();
  problem.lamb = {.min_coefficient = 0.15,
                  .max_coefficient = 0.2,
                  .coefficient_beta = 0.5,
                  .min_factor = 0.9,
                  .max_factor = 1.3,
                  .factor_threshold = 0.02};
  const Seen seen = ExpectSameBits(problem);
  EXPECT_GT(seen.num_clamped_low, 0u);
  EXPECT_GT(seen.num_clamped_high, 0u);
}

TEST(OneBitLambReferenceTest, SameBitsWithDenseRoundsIn16Bits) {
  OneBitLambReferenceOptions problem = Problem();
  problem.method.dense_format = reference::Format::kBFloat16;
  ExpectSameBits(problem);
}

// Gradients so small that the squares of some are 0 in fp32, and those of others are not.
TEST(OneBitLambReferenceTest, SameBitsWhereSomeElementsHaveNoVariance) {
  OneBitLambReferenceOptions problem = Problem();
  problem.adam.epsilon = 1e-25f;
  const Seen seen = ExpectSameBits(problem, {.gradient_scale = 3e-22f});
  EXPECT_GT(seen.num_without_variance, 100u);
  EXPECT_LT(seen.num_without_variance, 2500u);
}

}  // namespace
}  // namespace tally
