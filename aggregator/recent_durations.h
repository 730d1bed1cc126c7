// How long something has taken lately.
#ifndef TALLY_AGGREGATOR_RECENT_DURATIONS_H_
#define TALLY_AGGREGATOR_RECENT_DURATIONS_H_

#include <cstddef>
#include <deque>

#include "absl/time/time.h"

namespace tally {

// Median and spread of the last `kept` durations. Not thread-safe.
class RecentDurations {
 public:
  explicit RecentDurations(size_t kept) : kept_(kept) {}

  void Add(absl::Duration duration);

  size_t size() const { return durations_.size(); }
  // Zero if there are none; of an even number the upper one of the two in the middle.
  absl::Duration Median() const;
  // The median absolute deviation from the median.
  absl::Duration Deviation() const;

 private:
  const size_t kept_;
  std::deque<absl::Duration> durations_;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_RECENT_DURATIONS_H_
