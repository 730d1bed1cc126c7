// 0/1 Adam against an independent implementation, bit for bit, before and after the variance is
// frozen.
#include "tests/reference/zeroone_adam_reference.h"

#include "client/optimizers/zeroone_adam.h"
#include "gtest/gtest.h"
#include "tests/reference/compared_training.h"
#include "tests/reference/reference_norm.h"
#include "tests/reference/training_script.h"

namespace tally {
namespace {

// 120 steps, of which 35 come before the freeze: V is 1, 2, 4 and 8, L is 1, 2 and 4. The last one
// exchanges. In the first exchange after the freeze, round 35, nobody counts in a compressed chunk,
// so that its aggregator is asked twice to forget its residual.
ZeroOneAdamReferenceOptions Problem() {
  return {.method = {.model = {.tensors = SmallIrregularTensors(), .chunk_elements = 1024},
                     .num_workers = 4,
                     .learning_rate = 0.003f,
                     .weight_decay = 0.01f},
          .signs = {.block_elements = 256},
          .variance_steps = 35,
          .variance_scaler = 4,
          .local_step_scaler = 25,
          .max_local_steps = 4};
}

void ExpectSameBits(const ComparedTraining& training, const ZeroOneAdamReferenceOptions& problem,
                    const Transcript& transcript) {
  ExpectEveryFault(transcript);
  ExpectSameBits(training, transcript, [&](Exchanger* exchanger, const Backend* backend) {
    return CreateZeroOneAdam(
        exchanger,
        {.adam = {.learning_rate = problem.method.learning_rate,
                  .beta1 = problem.adam.beta1,
                  .beta2 = problem.adam.beta2,
                  .epsilon = problem.adam.epsilon,
                  .weight_decay = problem.method.weight_decay,
                  .bias_correction = problem.adam.bias_correction,
                  .backend = backend},
         .schedule = {.variance_steps = problem.variance_steps,
                      .variance_scaler = problem.variance_scaler,
                      .local_step_scaler = problem.local_step_scaler,
                      .max_local_steps = problem.max_local_steps},
         .scale_rule = problem.signs.scale == reference::Scale::kRootMeanSquare
                           ? ScaleRule::kRootMeanSquare
                           : ScaleRule::kMeanMagnitude,
         .granularity = {.block_elements = static_cast<uint32_t>(problem.signs.block_elements)},
         .dense_dtype = DTypeOf(problem.method.dense_format)});
  });
}

void ExpectSameBits(const ZeroOneAdamReferenceOptions& problem) {
  const ComparedTraining training(problem.method);
  ZeroOneAdamReference reference(problem);
  const Transcript transcript = training.Play(reference);
  EXPECT_GT(reference.steps().refreshes, 0u);
  EXPECT_GT(reference.steps().signs, 0u);
  EXPECT_GT(reference.steps().exchanges, 0u);
  EXPECT_GT(reference.steps().local, 0u);
  ExpectSameBits(training, problem, transcript);
}

TEST(ZeroOneAdamReferenceTest, SameBits) { ExpectSameBits(Problem()); }

TEST(ZeroOneAdamReferenceTest, SameBitsOfLargeBlocks) {
  for (const size_t block_elements : {768u, 6656u}) {
    SCOPED_TRACE(block_elements);
    ZeroOneAdamReferenceOptions problem = Problem();
    problem.method.model = {.tensors = IrregularTensors(), .chunk_elements = 19'968};
    problem.signs.block_elements = block_elements;
    ExpectSameBits(problem);
  }
}

// No freeze, which would end the residuals of gradients.
TEST(ZeroOneAdamReferenceTest, SameBitsOfRefreshesAndSignsAlone) {
  ZeroOneAdamReferenceOptions problem = Problem();
  problem.variance_steps = 1000;
  const ComparedTraining training(problem.method);
  ZeroOneAdamReference reference(problem);
  const Transcript transcript = training.Play(reference);
  EXPECT_GT(reference.steps().signs, 80u);
  EXPECT_EQ(reference.steps().exchanges, 0u);
  ExpectSameBits(training, problem, transcript);
}

// An exchange in every step after an early freeze.
TEST(ZeroOneAdamReferenceTest, SameBitsOfExchangesAlone) {
  ZeroOneAdamReferenceOptions problem = Problem();
  problem.variance_steps = 10;
  problem.max_local_steps = 1;
  const ComparedTraining training(problem.method);
  ZeroOneAdamReference reference(problem);
  const Transcript transcript = training.Play(reference);
  EXPECT_EQ(reference.steps().exchanges, 110u);
  ExpectSameBits(training, problem, transcript);
}

TEST(ZeroOneAdamReferenceTest, SameBitsByMeanMagnitudes) {
  ZeroOneAdamReferenceOptions problem = Problem();
  problem.signs.scale = reference::Scale::kMeanMagnitude;
  ExpectSameBits(problem);
}

TEST(ZeroOneAdamReferenceTest, SameBitsWithoutBiasCorrectionAndDecay) {
  ZeroOneAdamReferenceOptions problem = Problem();
  problem.adam.bias_correction = false;
  problem.method.weight_decay = 0.0f;
  ExpectSameBits(problem);
}

TEST(ZeroOneAdamReferenceTest, SameBitsWithDenseRoundsIn16Bits) {
  ZeroOneAdamReferenceOptions problem = Problem();
  problem.method.dense_format = reference::Format::kBFloat16;
  ExpectSameBits(problem);
}

// Gradients so small that the squares of some are 0 in fp32, and those of others are not.
TEST(ZeroOneAdamReferenceTest, SameBitsWhereSomeElementsHaveNoVariance) {
  ZeroOneAdamReferenceOptions problem = Problem();
  problem.adam.epsilon = 1e-25f;
  const ComparedTraining training(problem.method, {.gradient_scale = 3e-22f});
  ZeroOneAdamReference reference(problem);
  const Transcript transcript = training.Play(reference);
  EXPECT_GT(reference.num_without_variance(), 100u);
  EXPECT_LT(reference.num_without_variance(), 3000u);
  ExpectSameBits(training, problem, transcript);
}

}  // namespace
}  // namespace tally
