#include "aggregator/recent_durations.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace tally {
namespace {

absl::Duration MedianOf(std::vector<absl::Duration> durations) {
  if (durations.empty()) return absl::ZeroDuration();
  const auto middle = durations.begin() + static_cast<std::ptrdiff_t>(durations.size() / 2);
  std::nth_element(durations.begin(), middle, durations.end());
  return *middle;
}

}  // namespace

void RecentDurations::Add(absl::Duration duration) {
  durations_.push_back(duration);
  if (durations_.size() > kept_) durations_.pop_front();
}

absl::Duration RecentDurations::Median() const {
  return MedianOf({durations_.begin(), durations_.end()});
}

absl::Duration RecentDurations::Deviation() const {
  const absl::Duration median = Median();
  std::vector<absl::Duration> deviations;
  deviations.reserve(durations_.size());
  for (const absl::Duration duration : durations_) {
    deviations.push_back(absl::AbsDuration(duration - median));
  }
  return MedianOf(std::move(deviations));
}

}  // namespace tally
