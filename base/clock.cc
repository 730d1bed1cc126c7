#include "base/clock.h"

#include <chrono>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace tally {

RealClock::RealClock()
    : wall_start_(absl::Now()), steady_start_(std::chrono::steady_clock::now()) {}

absl::Time RealClock::Now() const {
  return wall_start_ + absl::FromChrono(std::chrono::steady_clock::now() - steady_start_);
}

}  // namespace tally
