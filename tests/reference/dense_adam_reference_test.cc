// Adam and AMSGrad on the mean gradient against an independent implementation, in all number
// formats, bit for bit.
#include "tests/reference/dense_adam_reference.h"

#include "client/optimizers/dense_adam.h"
#include "gtest/gtest.h"
#include "tests/reference/compared_training.h"
#include "tests/reference/training_script.h"

namespace tally {
namespace {

using reference::Format;

DenseAdamReferenceOptions Problem() {
  return {.method = {.model = {.tensors = IrregularTensors(), .chunk_elements = 8192},
                     .num_workers = 4,
                     .learning_rate = 0.01f,
                     .weight_decay = 0.01f}};
}

// Returns how often a carry waited.
size_t ExpectSameBits(const DenseAdamReferenceOptions& problem, float gradient_scale = 1.0f) {
  const ComparedTraining training(problem.method, {.gradient_scale = gradient_scale});
  DenseAdamReference reference(problem);
  const Transcript transcript = training.Play(reference);
  ExpectEveryFault(transcript);
  ExpectSameBits(training, transcript, [&](Exchanger* exchanger, const Backend* backend) {
    return CreateDenseAdam(exchanger, {.adam = {.learning_rate = problem.method.learning_rate,
                                                .beta1 = problem.adam.beta1,
                                                .beta2 = problem.adam.beta2,
                                                .epsilon = problem.adam.epsilon,
                                                .weight_decay = problem.method.weight_decay,
                                                .bias_correction = problem.adam.bias_correction,
                                                .backend = backend},
                                       .amsgrad = problem.adam.amsgrad,
                                       .dtype = DTypeOf(problem.method.dense_format)});
  });
  return reference.num_waiting_carries();
}

TEST(DenseAdamReferenceTest, SameBits) { ExpectSameBits(Problem()); }

TEST(DenseAdamReferenceTest, SameBitsOfAmsgrad) {
  DenseAdamReferenceOptions problem = Problem();
  problem.method.model = {.tensors = SmallIrregularTensors(), .chunk_elements = 512};
  problem.adam.amsgrad = true;
  ExpectSameBits(problem);
  problem.adam.bias_correction = false;
  ExpectSameBits(problem);
}

// Small gradients are subnormal in fp16, and rounded to it; bf16 has fp32's range.
TEST(DenseAdamReferenceTest, SameBitsIn16Bits) {
  for (const Format format : {Format::kFloat16, Format::kBFloat16}) {
    for (const float gradient_scale : {1.0f, 1e-5f}) {
      SCOPED_TRACE(gradient_scale);
      DenseAdamReferenceOptions problem = Problem();
      problem.method.model = {.tensors = SmallIrregularTensors(), .chunk_elements = 512};
      problem.method.dense_format = format;
      ExpectSameBits(problem, gradient_scale);
    }
  }
}

// Gradients near fp16's largest value: what was missed does not fit in together with the next one,
// and waits.
TEST(DenseAdamReferenceTest, SameBitsWhereCarriesWait) {
  DenseAdamReferenceOptions problem = Problem();
  problem.method.model = {.tensors = SmallIrregularTensors(), .chunk_elements = 512};
  problem.method.dense_format = Format::kFloat16;
  EXPECT_GT(ExpectSameBits(problem, /*gradient_scale=*/2500.0f), 10u);
}

}  // namespace
}  // namespace tally
