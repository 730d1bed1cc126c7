// Sketched-SGD against an independent implementation, bit for bit.
#include "tests/reference/sketched_sgd_reference.h"

#include "client/optimizers/sketched_sgd.h"
#include "gtest/gtest.h"
#include "tests/reference/compared_training.h"
#include "tests/reference/training_script.h"

namespace tally {
namespace {

using reference::Format;

SketchedSgdReferenceOptions Problem() {
  return {.method = {.model = {.tensors = SmallIrregularTensors(),
                               .chunk_elements = 512,
                               .num_groups = 5,
                               .dealing_seed = 77},
                     .num_workers = 4,
                     .run_seed = 0xa5a5a5a5deadbeef,
                     .learning_rate = 1e-3f,
                     .weight_decay = 0.001f},
          .sketch = {.num_updated = 40, .columns = 230}};
}

void ExpectSameBits(const SketchedSgdReferenceOptions& problem) {
  const ComparedTraining training(problem.method);
  SketchedSgdReference reference(problem);
  const Transcript transcript = training.Play(reference);
  ExpectEveryFault(transcript);
  const SketchReferenceOptions& sketch = problem.sketch;
  ExpectSameBits(training, transcript, [&](Exchanger* exchanger, const Backend* backend) {
    return CreateSketchedSgd(
        exchanger,
        {.sgd = {.learning_rate = problem.method.learning_rate,
                 .momentum = problem.momentum,
                 .weight_decay = problem.method.weight_decay,
                 .method = {.backend = backend}},
         .sketch = {.num_updated = static_cast<uint32_t>(sketch.num_updated),
                    .candidates_per_updated = static_cast<uint32_t>(sketch.candidates_per_updated),
                    .rows = static_cast<uint32_t>(sketch.rows),
                    .columns = static_cast<uint32_t>(sketch.columns),
                    .exact_values = sketch.exact_values,
                    .table_dtype = DTypeOf(sketch.table_format),
                    .values_dtype = DTypeOf(sketch.values_format)}});
  });
}

TEST(SketchedSgdReferenceTest, SameBits) { ExpectSameBits(Problem()); }

TEST(SketchedSgdReferenceTest, SameBitsWithValuesIn16BitsAndTablesIn32) {
  SketchedSgdReferenceOptions problem = Problem();
  problem.sketch.table_format = Format::kFloat32;
  problem.sketch.values_format = Format::kBFloat16;
  problem.sketch.rows = 3;
  ExpectSameBits(problem);
}

TEST(SketchedSgdReferenceTest, SameBitsByEstimates) {
  SketchedSgdReferenceOptions problem = Problem();
  problem.sketch.exact_values = false;
  problem.sketch.columns = 1000;
  ExpectSameBits(problem);
}

// One group, and more candidates than it has elements.
TEST(SketchedSgdReferenceTest, SameBitsOfOneSmallGroup) {
  SketchedSgdReferenceOptions problem = Problem();
  problem.method.model = {
      .tensors = {{.size = 150, .masked = {{3, 20}}}, {.size = 30, .dense = true}},
      .chunk_elements = 256,
      .num_groups = 1,
      .dealing_seed = 1};
  problem.sketch = {.num_updated = 50, .rows = 1, .columns = 64};
  ExpectSameBits(problem);
}

}  // namespace
}  // namespace tally
