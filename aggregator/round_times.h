// How long rounds take lately.
#ifndef TALLY_AGGREGATOR_ROUND_TIMES_H_
#define TALLY_AGGREGATOR_ROUND_TIMES_H_

#include <cstddef>
#include <deque>

#include "absl/time/time.h"

namespace tally {

// Median and spread of the last kKept durations. Not thread-safe.
class RoundTimes {
 public:
  static constexpr size_t kKept = 32;

  void Add(absl::Duration duration);

  bool empty() const { return durations_.empty(); }
  // Zero if there are none; of an even number the upper one of the two in the middle.
  absl::Duration Median() const;
  // The median absolute deviation from the median.
  absl::Duration Deviation() const;

 private:
  std::deque<absl::Duration> durations_;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_ROUND_TIMES_H_
