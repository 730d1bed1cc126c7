// What several runs came to, and whether that is good enough.
#ifndef TALLY_EXAMPLES_RUN_SUMMARY_H_
#define TALLY_EXAMPLES_RUN_SUMMARY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "examples/training_report.h"

namespace tally {

// One run of all its workers.
struct RunSummary {
  std::string optimizer;
  std::string variant;
  uint64_t workers = 0;
  uint64_t aggregators = 0;
  uint64_t rounds = 0;
  uint64_t parameters = 0;
  double initial_validation_loss = 0;
  double final_validation_loss = 0;
  // Of all messages, per worker and round.
  double bytes_up_per_round = 0;
  double bytes_down_per_round = 0;
  // Of contributions and of results, per worker and round of the compressed phase.
  double bits_per_parameter_up = 0;
  double bits_per_parameter_down = 0;
  // Of what comes down besides, per worker and round: snapshots of the aggregators' residuals.
  double snapshot_bits_per_parameter = 0;
  double rounds_per_second = 0;
  // Update against input, over the measured rounds of all workers; 0 if there were none.
  uint64_t measured_rounds = 0;
  double mean_cosine = 0;
  double mean_relative_error = 0;
  uint64_t parameters_digest = 0;
  std::vector<LossPoint> training_loss;    // mean over the workers
  std::vector<LossPoint> validation_loss;  // worker 0's
};

// Brings the reports of one run, one from each worker, together. Figures are means over the
// workers, the speed is worker 0's.
// Returns INVALID_ARGUMENT if the reports are not those of one run, each worker once;
// FAILED_PRECONDITION if the workers ended with different parameters: the message lists their
// digests.
absl::StatusOr<RunSummary> SummarizeRun(absl::Span<const TrainingReport> reports);

// A run's name in tables and curves: its method, and its variant behind a colon.
std::string RunLabel(const RunSummary& run);

// Returns FAILED_PRECONDITION, with both losses, if the final validation loss of a run without a
// variant is further above that of its uncompressed twin than its preset allows (method_presets.h).
// The twin is the best of those among the runs, whatever its variant; without one nothing is
// compared.
absl::Status CompareLosses(absl::Span<const RunSummary> runs);

// {"runs": [...]}, without the curves.
std::string FormatSummary(absl::Span<const RunSummary> runs);

// A table for people, one row per run. The reduction is against fp32 both ways, 64 bits.
std::string FormatTable(absl::Span<const RunSummary> runs);

// For gnuplot: per run one block of training losses, averaged over twentieths of the run so that
// the curve can be read, then one of validation losses, each under the run's label; columns
// are round and loss.
std::string FormatCurves(absl::Span<const RunSummary> runs);

}  // namespace tally

#endif  // TALLY_EXAMPLES_RUN_SUMMARY_H_
