#include "examples/quality_log.h"

#include <cmath>

#include "base/status_macros.h"
#include "examples/training_report.h"

namespace tally {

absl::Status QualityLog::Take(uint64_t round, const absl::optional<RoundQuality>& quality) {
  if (quality.has_value()) {
    last_ = quality;
    if (std::isfinite(quality->cosine) && std::isfinite(quality->relative_error)) {
      ++num_rounds_;
      sum_of_cosines_ += quality->cosine;
      sum_of_errors_ += quality->relative_error;
    }
  }
  return round % options_.metrics_every == 0 ? Finish() : absl::OkStatus();
}

absl::Status QualityLog::Finish() {
  if (options_.metrics_file.empty() || !last_.has_value()) return absl::OkStatus();
  return ReplaceTextFile(options_.metrics_file, FormatQualityMetrics(options_.labels, *last_));
}

}  // namespace tally
