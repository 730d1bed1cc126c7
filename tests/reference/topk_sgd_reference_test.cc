// Top-k with error feedback against an independent implementation, bit for bit.
#include "tests/reference/topk_sgd_reference.h"

#include "client/optimizers/topk_sgd.h"
#include "gtest/gtest.h"
#include "tests/reference/compared_training.h"
#include "tests/reference/training_script.h"

namespace tally {
namespace {

void ExpectSameBits(const ReferenceModelOptions& model, double share) {
  const TopkSgdReferenceOptions problem = {
      .method = {.model = model, .num_workers = 4, .learning_rate = 0.01f, .weight_decay = 0.001f},
      .share = share};
  const ComparedTraining training(problem.method);
  TopkSgdReference reference(problem);
  const Transcript transcript = training.Play(reference);
  ExpectEveryFault(transcript);
  ExpectSameBits(training, transcript, [&](Exchanger* exchanger, const Backend* backend) {
    return CreateTopkSgd(exchanger, {.sgd = {.learning_rate = problem.method.learning_rate,
                                             .momentum = problem.momentum,
                                             .weight_decay = problem.method.weight_decay,
                                             .method = {.backend = backend}},
                                     .share = share});
  });
}

TEST(TopkSgdReferenceTest, SameBits) {
  for (const double share : {0.001, 0.03}) {
    SCOPED_TRACE(share);
    ExpectSameBits({.tensors = IrregularTensors(), .chunk_elements = 8192}, share);
  }
}

// Everything that lives in a chunk travels, and the last chunk has one element.
TEST(TopkSgdReferenceTest, SameBitsOfAllElements) {
  ExpectSameBits({.tensors = {{.size = 600, .masked = {{0, 40}, {511, 513}}}, {.size = 425}},
                  .chunk_elements = 512},
                 1.0);
}

}  // namespace
}  // namespace tally
