// SketchedAMSGrad against an independent implementation, bit for bit.
#include "tests/reference/sketched_amsgrad_reference.h"

#include <cstdint>

#include "client/optimizers/sketched_amsgrad.h"
#include "gtest/gtest.h"
#include "tests/reference/compared_training.h"
#include "tests/reference/training_script.h"

namespace tally {
namespace {

using reference::Format;

SketchedAmsgradReferenceOptions Problem() {
  return {.method = {.model = {.tensors = SmallIrregularTensors(),
                               .chunk_elements = 512,
                               .num_groups = 5,
                               .dealing_seed = 3},
                     .num_workers = 4,
                     .run_seed = 0x5151515151515151,
                     .learning_rate = 0.003f,
                     .weight_decay = 0.01f},
          .sketch = {.num_updated = 40, .columns = 230},
          .warmup_rounds = 20};
}

void ExpectSameBits(const SketchedAmsgradReferenceOptions& problem) {
  const ComparedTraining training(problem.method, {.rounds = 150});
  SketchedAmsgradReference reference(problem);
  const Transcript transcript = training.Play(reference);
  ExpectEveryFault(transcript);
  EXPECT_GT(reference.largest_age(), 20u);
  const SketchReferenceOptions& sketch = problem.sketch;
  ExpectSameBits(training, transcript, [&](Exchanger* exchanger, const Backend* backend) {
    return CreateSketchedAmsgrad(
        exchanger, {.adam = {.learning_rate = problem.method.learning_rate,
                             .beta1 = problem.adam.beta1,
                             .beta2 = problem.adam.beta2,
                             .epsilon = problem.adam.epsilon,
                             .weight_decay = problem.method.weight_decay,
                             .bias_correction = problem.adam.bias_correction,
                             .backend = backend},
                    .sketch = {.num_updated = static_cast<uint32_t>(sketch.num_updated),
                               .columns = static_cast<uint32_t>(sketch.columns),
                               .exact_values = sketch.exact_values,
                               .table_dtype = DTypeOf(sketch.table_format),
                               .values_dtype = DTypeOf(sketch.values_format)},
                    .warmup_rounds = problem.warmup_rounds,
                    .dense_dtype = DTypeOf(problem.method.dense_format)});
  });
}

TEST(SketchedAmsgradReferenceTest, SameBits) { ExpectSameBits(Problem()); }

TEST(SketchedAmsgradReferenceTest, SameBitsIn16BitsWithoutBiasCorrection) {
  SketchedAmsgradReferenceOptions problem = Problem();
  problem.method.dense_format = Format::kBFloat16;
  problem.sketch.table_format = Format::kFloat16;
  problem.sketch.values_format = Format::kFloat16;
  problem.adam.bias_correction = false;
  problem.warmup_rounds = 1;
  ExpectSameBits(problem);
}

TEST(SketchedAmsgradReferenceTest, SameBitsByEstimates) {
  SketchedAmsgradReferenceOptions problem = Problem();
  problem.sketch.exact_values = false;
  problem.sketch.columns = 1000;
  ExpectSameBits(problem);
}

}  // namespace
}  // namespace tally
