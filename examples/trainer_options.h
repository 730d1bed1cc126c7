// What a trainer process is told on its command line.
#ifndef TALLY_EXAMPLES_TRAINER_OPTIONS_H_
#define TALLY_EXAMPLES_TRAINER_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/fault_plan.h"
#include "client/client_options.h"
#include "client/optimizers/create_optimizer.h"
#include "examples/model.h"

namespace tally {

// One field per flag (examples/trainer_flags.cc says what each means).
struct TrainerOptions {
  std::string job;
  std::string worker;
  uint32_t rank = 0;
  uint32_t workers = 1;
  uint32_t max_workers = 0;  // 0: workers
  uint32_t max_late = 0;
  absl::Duration late_ceiling = absl::Seconds(10);
  std::vector<AggregatorAddress> aggregators;
  uint64_t run = 0;
  std::string optimizer;
  std::string variant;
  uint64_t rounds = 0;
  // What the method takes beside its learning rate; its sketch's sizes follow from the shares.
  OptimizerOptions method;
  double sketch_share = 0;          // of the compressed elements, those updated in a round
  double sketch_columns_share = 0;  // columns of a sketch per compressed element
  double learning_rate = 0;
  // Share of the learning rate that the last step has; it falls in a straight line. 1: constant.
  double final_learning_rate_share = 1;
  double epsilon = 0;
  uint32_t batch = 0;
  uint64_t seed = 0;
  std::string text;
  std::string report;        // empty: none
  std::string metrics_file;  // empty: none
  uint64_t metrics_every = 10;
  uint64_t validate_every = 0;
  std::string checkpoints;        // a directory; empty: none are written
  uint64_t checkpoint_every = 0;  // 0: never
  uint64_t resume_after = 0;      // 0: from the beginning
  uint64_t leave_after = 0;       // 0: it stays to the end
  uint32_t chunk_elements = 0;
  uint32_t arrival_jitter_ms = 0;
  absl::Duration start_timeout;
  absl::Duration aggregator_timeout;
  FaultPlan faults;
};

// Returns INVALID_ARGUMENT, naming flag, value and rule, if `job`, `worker` or `text` is empty;
// `workers`, `rounds` or `metrics_every` is 0; `max_workers` is neither 0 nor at least `workers`;
// `late_ceiling` is not positive;
// `rank` is not less than `workers`; `optimizer` is not one of OptimizerNames(); `learning_rate`,
// `epsilon` or a share is not positive and finite; the final share of the learning rate is above 1;
// `batch` is not from 1 to 65,536; `arrival_jitter_ms` is above a minute; `checkpoints` is
// empty, but there are checkpoints to be written or read; `resume_after` is not before the last
// round; or a timeout is not positive.
absl::Status ValidateTrainerOptions(const TrainerOptions& options);

// Reads "agg-0=host:port,agg-1=host:port". Returns INVALID_ARGUMENT, naming the flag, if an entry
// has no name or no address.
absl::StatusOr<std::vector<AggregatorAddress>> ParseAggregators(absl::string_view text);

// How the trainer joins the run with `model`, whose parameters are still the initial ones. For a
// method that sketches the model's layout is dealt out to groups; the flat vector stays the same.
// Returns INVALID_ARGUMENT as Layout::Create.
absl::StatusOr<ClientOptions> MakeClientOptions(const TrainerOptions& options, Model& model);

// The method's settings for a model of this layout.
OptimizerOptions MakeOptimizerOptions(const TrainerOptions& options, const Layout& layout);

}  // namespace tally

#endif  // TALLY_EXAMPLES_TRAINER_OPTIONS_H_
