// The loop of an example trainer.
#ifndef TALLY_EXAMPLES_TRAINING_H_
#define TALLY_EXAMPLES_TRAINING_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "client/client.h"
#include "client/optimizers/optimizer.h"
#include "examples/checkpoint.h"
#include "examples/model.h"
#include "examples/progress_line.h"
#include "examples/quality_log.h"
#include "examples/text_data.h"
#include "examples/trainer_options.h"
#include "examples/training_report.h"

namespace tally {

// What a run is made of; all must outlive it.
struct TrainingParts {
  const TextData* text = nullptr;
  Model* model = nullptr;
  Client* client = nullptr;
  Optimizer* optimizer = nullptr;
  const Clock* clock = nullptr;
  ProgressLine* progress = nullptr;        // null: shows none
  QualityLog* quality = nullptr;           // null: nobody asks what rounds lost
  CheckpointFiles* checkpoints = nullptr;  // with options.checkpoint_every
  // What this worker had not got across when it was evicted; empty: it was not.
  absl::Span<const float> kept_residual;
  // Of the checkpoint that the client resumes; empty: it resumes none.
  absl::string_view saved_training;
};

// Trains for options.rounds, or for what is left of them if the run has begun without this worker:
// then it starts from the others' state and follows their rounds until it is taken in. Gives its
// own state to those who come later. Goes on from a checkpoint, if there is one, unless the run has
// gone on without this worker. A round: draws the worker's batch, computes gradients, takes
// the optimizer's step. If the workers' parameters differ then
// (OptimizerStatistics::common_parameters), it goes on to the next step after which they do not.
// Worker 0 validates before, after and every `validate_every` rounds between, or as soon after as
// parameters are common; the others leave that curve empty, since their models are the same. Takes
// leave at the end. Returns ABORTED if this worker was evicted and may come again; OUT_OF_RANGE if
// the loss stops being finite; DATA_LOSS if this worker's parameters are others than those of most;
// else the error of the optimizer or client.
absl::StatusOr<TrainingReport> Train(const TrainerOptions& options, const TrainingParts& parts);

}  // namespace tally

#endif  // TALLY_EXAMPLES_TRAINING_H_
