// transformer_trainer: a worker that trains a transformer over characters, with libtorch.
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "examples/model.h"
#include "examples/pinned_arithmetic.h"
#include "examples/run_trainer.h"
#include "examples/trainer_flags.h"
#include "examples/transformer_model.h"

namespace tally {
namespace {

absl::Status Run(int argc, char** argv) {
  TransformerOptions model;
  // The epsilon is larger than Adam's usual one: a parameter whose second moment is next to nothing
  // when it is frozen would take huge steps for ever after, on signs that are mostly noise. It
  // costs plain Adam nothing.
  TALLY_ASSIGN_OR_RETURN(
      const TrainerOptions options,
      ReadTrainerFlags(
          argc, argv,
          "Trains a transformer over characters as one worker of several.\n\n"
          "  transformer_trainer --rank=0 --workers=1 --aggregators=agg-0=127.0.0.1:7070",
          {.epsilon = 1e-5, .batch = 3, .chunk_elements = model.chunk_elements}));
  model.chunk_elements = options.chunk_elements;
  model.seed = options.seed;
  return RunTrainer(options, model.context + 1, [&](size_t vocabulary_size) {
    model.vocabulary_size = vocabulary_size;
    return CreateTransformerModel(model);
  });
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  tally::PinArithmetic(argv);
  tally::UseOneTorchThread();
  const absl::Status status = tally::Run(argc, argv);
  if (!status.ok()) {
    std::fprintf(stderr, "transformer_trainer: %s\n", status.ToString().c_str());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
