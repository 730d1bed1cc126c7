// Signum with majority vote against an independent implementation, bit for bit.
#include "tests/reference/sign_sgd_reference.h"

#include "client/optimizers/sgd_options.h"
#include "client/optimizers/sign_sgd.h"
#include "gtest/gtest.h"
#include "tests/reference/compared_training.h"
#include "tests/reference/training_script.h"

namespace tally {
namespace {

TEST(SignSgdReferenceTest, SameBits) {
  for (const float weight_decay : {0.0f, 0.01f}) {
    SCOPED_TRACE(weight_decay);
    const SignSgdReferenceOptions problem = {
        .method = {.model = {.tensors = IrregularTensors(), .chunk_elements = 8192},
                   .num_workers = 4,
                   .run_seed = 0xfedcba9876543210,
                   .learning_rate = 1e-3f,
                   .weight_decay = weight_decay}};
    const ComparedTraining training(problem.method);
    SignSgdReference reference(problem);
    const Transcript transcript = training.Play(reference);
    ExpectEveryFault(transcript);
    EXPECT_GT(reference.num_ties(), 1000u);
    ExpectSameBits(training, transcript, [&](Exchanger* exchanger, const Backend* backend) {
      return CreateSignSgd(exchanger, {.learning_rate = problem.method.learning_rate,
                                       .momentum = problem.momentum,
                                       .weight_decay = weight_decay,
                                       .method = {.backend = backend}});
    });
  }
}

}  // namespace
}  // namespace tally
