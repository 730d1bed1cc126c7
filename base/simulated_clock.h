// A clock that stands still until it is told to move.
#ifndef TALLY_BASE_SIMULATED_CLOCK_H_
#define TALLY_BASE_SIMULATED_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace tally {

// Time for tests and simulations. Safe for concurrent use. Like every Clock it never goes back: an
// attempt to do so is a bug in the test, and aborts.
class SimulatedClock final : public Clock {
 public:
  // Starts at the Unix epoch.
  SimulatedClock();
  explicit SimulatedClock(absl::Time start);

  absl::Time Now() const override;

  // Moves on by `duration`, which must not be negative.
  void AdvanceBy(absl::Duration duration);

  // Moves on to `time`, which must not be before Now().
  void SetTime(absl::Time time);

 private:
  void SetTimeLocked(absl::Time time) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tally

#endif  // TALLY_BASE_SIMULATED_CLOCK_H_
