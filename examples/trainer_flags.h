// The command line that all example trainers share.
#ifndef TALLY_EXAMPLES_TRAINER_FLAGS_H_
#define TALLY_EXAMPLES_TRAINER_FLAGS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "examples/trainer_options.h"

namespace tally {

// What a trainer takes where its command line says nothing: what suits its model.
struct TrainerDefaults {
  // Times the learning rate that suits the method.
  double learning_rate_scale = 1;
  double epsilon = 0;
  uint32_t batch = 0;
  uint32_t chunk_elements = 0;
};

// Reads the command line. `usage` heads the text of --help, which exits.
// Returns INVALID_ARGUMENT if there are arguments that are no flags, or as ValidateTrainerOptions.
absl::StatusOr<TrainerOptions> ReadTrainerFlags(int argc, char** argv, absl::string_view usage,
                                                const TrainerDefaults& defaults);

}  // namespace tally

#endif  // TALLY_EXAMPLES_TRAINER_FLAGS_H_
