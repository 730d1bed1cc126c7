// A whole run of real processes on this machine.
#ifndef TALLY_TESTS_END_TO_END_TRAINING_RUN_H_
#define TALLY_TESTS_END_TO_END_TRAINING_RUN_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "examples/training_report.h"

namespace tally {

struct TrainingRunOptions {
  // Names a folder below the test's own, for logs and reports; unique within the test.
  std::string name;
  int num_aggregators = 2;
  int num_workers = 4;
  // More flags for every worker, such as "--optimizer=onebit_adam".
  std::vector<std::string> worker_flags;
  // More flags for the worker of that rank.
  std::map<int, std::vector<std::string>> flags_of_worker;
  // How often an aggregator, one after the other, is killed with SIGKILL and started again on its
  // port while the workers run, with this pause in between.
  int aggregator_kills = 0;
  absl::Duration kill_interval = absl::Milliseconds(300);
  // They are told to go (SIGTERM), and wait for their end, instead.
  bool aggregators_drain = false;
  // If set: the worker of this rank is killed with SIGKILL after kill_interval. It has no report,
  // unless it comes back at once, as another process.
  absl::optional<int> killed_worker;
  bool killed_worker_returns = false;
  // If set: the worker of this rank stands still (SIGSTOP) after kill_interval, for so long.
  absl::optional<int> paused_worker;
  absl::Duration pause = absl::Seconds(4);
  // More flags for every aggregator.
  std::vector<std::string> aggregator_flags;
  // For each process to do its part; bounds a run that hangs.
  absl::Duration timeout = absl::Minutes(2);
};

// Starts aggregators on free ports and mlp_trainer processes on a text of its own, lets them run to
// their end, and returns the surviving workers' reports by rank. Finds the programs in the test's
// runfiles. Returns the first error of a process, with the end of its log.
absl::StatusOr<std::vector<TrainingReport>> RunTraining(const TrainingRunOptions& options);

}  // namespace tally

#endif  // TALLY_TESTS_END_TO_END_TRAINING_RUN_H_
