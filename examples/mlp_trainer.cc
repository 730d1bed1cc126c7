// mlp_trainer: a worker that trains a small perceptron over characters.
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "examples/mlp_model.h"
#include "examples/model.h"
#include "examples/run_trainer.h"
#include "examples/trainer_flags.h"

namespace tally {
namespace {

absl::Status Run(int argc, char** argv) {
  MlpOptions model;
  TALLY_ASSIGN_OR_RETURN(
      const TrainerOptions options,
      ReadTrainerFlags(argc, argv,
                       "Trains a small perceptron over characters as one worker of several.\n\n"
                       "  mlp_trainer --rank=0 --workers=1 --aggregators=agg-0=127.0.0.1:7070",
                       {.learning_rate_scale = 3,
                        .epsilon = 1e-8,
                        .batch = 32,
                        .chunk_elements = model.chunk_elements}));
  model.chunk_elements = options.chunk_elements;
  model.seed = options.seed;
  return RunTrainer(options, model.context + 1,
                    [&](size_t vocabulary_size) -> absl::StatusOr<std::unique_ptr<Model>> {
                      model.vocabulary_size = vocabulary_size;
                      return MlpModel::Create(model);
                    });
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  const absl::Status status = tally::Run(argc, argv);
  if (!status.ok()) {
    std::fprintf(stderr, "mlp_trainer: %s\n", status.ToString().c_str());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
