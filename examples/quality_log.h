// What the rounds of a trainer lost, kept for its report and for monitoring.
#ifndef TALLY_EXAMPLES_QUALITY_LOG_H_
#define TALLY_EXAMPLES_QUALITY_LOG_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "client/optimizers/quality_metrics.h"
#include "client/optimizers/round_quality.h"

namespace tally {

struct QualityLogOptions {
  QualityLabels labels;
  // A file that gets the last measured round as Prometheus text every `metrics_every` rounds and at
  // the end, whole each time: node_exporter's textfile collector may read it at any moment. Before
  // the first measured round there is none. Empty: no file.
  std::string metrics_file;
  uint64_t metrics_every = 10;  // positive
};

// Not thread-safe.
class QualityLog {
 public:
  explicit QualityLog(QualityLogOptions options) : options_(std::move(options)) {}

  // After every step. Returns UNAVAILABLE, naming the file, if it cannot be written.
  absl::Status Take(uint64_t round, const absl::optional<RoundQuality>& quality);
  // After the last one; errors as Take.
  absl::Status Finish();

  // The last round that was measured.
  const absl::optional<RoundQuality>& last() const { return last_; }
  // Rounds behind the means: those measured whose figures are finite.
  uint64_t num_rounds() const { return num_rounds_; }
  // 0 if there are none.
  double mean_cosine() const { return Mean(sum_of_cosines_); }
  double mean_relative_error() const { return Mean(sum_of_errors_); }

 private:
  double Mean(double sum) const {
    return num_rounds_ > 0 ? sum / static_cast<double>(num_rounds_) : 0.0;
  }

  const QualityLogOptions options_;
  absl::optional<RoundQuality> last_;
  uint64_t num_rounds_ = 0;
  double sum_of_cosines_ = 0;
  double sum_of_errors_ = 0;
};

}  // namespace tally

#endif  // TALLY_EXAMPLES_QUALITY_LOG_H_
