#include "base/simulated_clock.h"

#include "absl/time/time.h"
#include "base/check.h"
#include "base/mutex.h"

namespace tally {

SimulatedClock::SimulatedClock() : SimulatedClock(absl::UnixEpoch()) {}

SimulatedClock::SimulatedClock(absl::Time start) : now_(start) {}

absl::Time SimulatedClock::Now() const {
  MutexLock lock(&mutex_);
  return now_;
}

void SimulatedClock::AdvanceBy(absl::Duration duration) {
  MutexLock lock(&mutex_);
  SetTimeLocked(now_ + duration);
}

void SimulatedClock::SetTime(absl::Time time) {
  MutexLock lock(&mutex_);
  SetTimeLocked(time);
}

void SimulatedClock::SetTimeLocked(absl::Time time) {
  TALLY_CHECK(time >= now_, "a clock never goes back");
  now_ = time;
}

}  // namespace tally
