// Momentum SGD against an independent implementation, bit for bit.
#include "tests/reference/dense_sgd_reference.h"

#include <string>

#include "client/optimizers/dense_sgd.h"
#include "client/optimizers/sgd_options.h"
#include "gtest/gtest.h"
#include "tests/reference/compared_training.h"
#include "tests/reference/training_script.h"

namespace tally {
namespace {

DenseSgdReferenceOptions Problem() {
  return {.method = {.model = {.tensors = IrregularTensors(), .chunk_elements = 8192},
                     .num_workers = 4,
                     .learning_rate = 0.02f}};
}

void ExpectSameBits(const DenseSgdReferenceOptions& problem) {
  const ComparedTraining training(problem.method);
  DenseSgdReference reference(problem);
  const Transcript transcript = training.Play(reference);
  ExpectEveryFault(transcript);
  ExpectSameBits(training, transcript, [&](Exchanger* exchanger, const Backend* backend) {
    return CreateDenseSgd(exchanger, {.learning_rate = problem.method.learning_rate,
                                      .momentum = problem.momentum,
                                      .weight_decay = problem.method.weight_decay,
                                      .method = {.backend = backend}});
  });
}

TEST(DenseSgdReferenceTest, SameBits) { ExpectSameBits(Problem()); }

TEST(DenseSgdReferenceTest, SameBitsWithWeightDecay) {
  DenseSgdReferenceOptions problem = Problem();
  problem.method.weight_decay = 0.01f;
  ExpectSameBits(problem);
}

}  // namespace
}  // namespace tally
