// LAMB on the mean gradient against an independent implementation, bit for bit.
#include "tests/reference/dense_lamb_reference.h"

#include "client/optimizers/dense_lamb.h"
#include "gtest/gtest.h"
#include "tests/reference/compared_training.h"
#include "tests/reference/training_script.h"

namespace tally {
namespace {

DenseLambReferenceOptions Problem() {
  return {.method = {.model = {.tensors = SmallIrregularTensors(), .chunk_elements = 512},
                     .num_workers = 4,
                     .learning_rate = 0.02f,
                     .weight_decay = 0.01f}};
}

// How often the bounds of LAMB's coefficient held.
struct Clamped {
  size_t low = 0;
  size_t high = 0;
};

Clamped ExpectSameBits(const DenseLambReferenceOptions& problem,
                       const ComparedTrainingOptions& how = {}) {
  const ComparedTraining training(problem.method, how);
  DenseLambReference reference(problem);
  const Transcript transcript = training.Play(reference);
  ExpectEveryFault(transcript);
  ExpectSameBits(training, transcript, [&](Exchanger* exchanger, const Backend* backend) {
    return CreateDenseLamb(exchanger, {.adam = {.learning_rate = problem.method.learning_rate,
                                                .beta1 = problem.adam.beta1,
                                                .beta2 = problem.adam.beta2,
                                                .epsilon = problem.adam.epsilon,
                                                .weight_decay = problem.method.weight_decay,
                                                .bias_correction = problem.adam.bias_correction,
                                                .backend = backend},
                                       .rates = {.min_coefficient = problem.lamb.min_coefficient,
                                                 .max_coefficient = problem.lamb.max_coefficient},
                                       .dtype = DTypeOf(problem.method.dense_format)});
  });
  return {reference.lamb().num_clamped_low(), reference.lamb().num_clamped_high()};
}

TEST(DenseLambReferenceTest, SameBits) { ExpectSameBits(Problem()); }

// Tensors longer than the pieces of a norm, and chunks that those pieces do not divide.
TEST(DenseLambReferenceTest, SameBitsOfLongTensors) {
  DenseLambReferenceOptions problem = Problem();
  problem.method.model = {.tensors = IrregularTensors(), .chunk_elements = 19'968};
  ExpectSameBits(problem);
}

TEST(DenseLambReferenceTest, SameBitsAtBothBoundsOfTheCoefficient) {
  DenseLambReferenceOptions problem = Problem();
  problem.lamb.min_coefficient = 0.4;
  problem.lamb.max_coefficient = 0.6;
  const Clamped clamped = ExpectSameBits(problem);
  EXPECT_GT(clamped.low, 0u);
  EXPECT_GT(clamped.high, 0u);
}

// The first step of each tensor has nothing to measure itself by.
TEST(DenseLambReferenceTest, SameBitsFromZeroWeights) {
  ExpectSameBits(Problem(), {.initial_parameter = 0.0f});
}

TEST(DenseLambReferenceTest, SameBitsWithoutBiasCorrectionAndDecay) {
  DenseLambReferenceOptions problem = Problem();
  problem.adam.bias_correction = false;
  problem.method.weight_decay = 0.0f;
  ExpectSameBits(problem);
}

TEST(DenseLambReferenceTest, SameBitsIn16Bits) {
  for (const reference::Format format :
       {reference::Format::kFloat16, reference::Format::kBFloat16}) {
    DenseLambReferenceOptions problem = Problem();
    problem.method.dense_format = format;
    ExpectSameBits(problem);
  }
}

}  // namespace
}  // namespace tally
