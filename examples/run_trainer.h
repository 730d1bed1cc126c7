// A trainer process from its options to its report.
#ifndef TALLY_EXAMPLES_RUN_TRAINER_H_
#define TALLY_EXAMPLES_RUN_TRAINER_H_

#include <cstddef>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/model.h"
#include "examples/trainer_options.h"

namespace tally {

// Creates the trainer's model for a vocabulary of that size.
using ModelFactory =
    absl::FunctionRef<absl::StatusOr<std::unique_ptr<Model>>(size_t vocabulary_size)>;

// Reads the text, creates the model, joins the run, trains, and writes the report. Worker 0 logs
// what speaks against the options before it joins, and shows what the last compressed round lost at
// the end. `window_length` is that of the model. Returns the first error.
absl::Status RunTrainer(const TrainerOptions& options, size_t window_length,
                        ModelFactory create_model);

}  // namespace tally

#endif  // TALLY_EXAMPLES_RUN_TRAINER_H_
