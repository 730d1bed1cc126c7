// What a worker has to say at the end of a run.
#ifndef TALLY_EXAMPLES_TRAINING_REPORT_H_
#define TALLY_EXAMPLES_TRAINING_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tally {

// The loss, in nats per character, after so many rounds.
struct LossPoint {
  uint64_t round = 0;
  double loss = 0;
  friend bool operator==(const LossPoint&, const LossPoint&) = default;
};

struct TrainingReport {
  std::string optimizer;
  // What sets this run apart from others of the same method; empty: nothing.
  std::string variant;
  std::string worker;
  uint64_t rank = 0;
  uint64_t workers = 0;
  uint64_t aggregators = 0;
  uint64_t rounds = 0;
  uint64_t parameters = 0;
  // Of this worker's batch in every round.
  std::vector<LossPoint> training_loss;
  // From the start to the end; only worker 0 validates.
  std::vector<LossPoint> validation_loss;
  // All messages of the whole run, from Connect on.
  uint64_t bytes_up = 0;
  uint64_t bytes_down = 0;
  // Of these, what is no result: nearly all of it snapshots of the aggregators' residuals.
  uint64_t other_bytes_down = 0;
  // Contributions and results of the rounds that were compressed; of all rounds, if none was.
  uint64_t compressed_rounds = 0;
  uint64_t compressed_bytes_up = 0;
  uint64_t compressed_bytes_down = 0;
  uint64_t missed_contributions = 0;
  // Of a worker that came when the run had begun: the round after which the others' state stood.
  uint64_t joined_after = 0;
  // Norms of what this worker handed over when it left before the others, and of what nobody took.
  double handed_over_norm = 0;
  double discarded_norm = 0;
  // From a step's gradients to its end, the exchange included: what a fault, or somebody who comes,
  // costs this worker at most.
  double longest_round_seconds = 0;
  // Of the rounds whose quality was measured (client/optimizers/round_quality.h): how many, and the
  // means; 0 if there were none.
  uint64_t measured_rounds = 0;
  double mean_cosine = 0;
  double mean_relative_error = 0;
  // Of training, without the time of validations.
  double seconds = 0;
  uint64_t parameters_digest = 0;
};

// Bits of contributions and of results per parameter and round; 0 before the
// first round.
double BitsPerParameterUp(const TrainingReport& report);
double BitsPerParameterDown(const TrainingReport& report);
// Of the rounds that this worker has seen; 0 if no time has passed.
double RoundsPerSecond(const TrainingReport& report);

// Sixteen hexadecimal digits.
std::string FormatDigest(uint64_t digest);

// Returns `text` as a JSON string, quotes included; bytes past ASCII pass as they are.
std::string JsonString(absl::string_view text);

// Writes `report` as a JSON object: one key per field, curves as lists of [round, loss], beside
// them the three figures above and the first and last validation loss. All losses must be finite,
// which JSON cannot say otherwise.
std::string FormatReport(const TrainingReport& report);

// Reads what FormatReport wrote; derived figures and unknown keys are passed over.
// Returns INVALID_ARGUMENT, naming the key, if `json` is no JSON object, or a field is missing or
// of another kind.
absl::StatusOr<TrainingReport> ParseReport(absl::string_view json);

// Writes `text` to the file `path`. Returns UNAVAILABLE, naming the path, if that fails.
absl::Status WriteTextFile(const std::string& path, absl::string_view text);

// The same for a file that others may read at any moment: they find the old text or the new one,
// whole. `path`.tmp is written on the way.
absl::Status ReplaceTextFile(const std::string& path, absl::string_view text);

}  // namespace tally

#endif  // TALLY_EXAMPLES_TRAINING_REPORT_H_
