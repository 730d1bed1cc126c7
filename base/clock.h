// Time as something that is handed in, so that tests can set it.
#ifndef TALLY_BASE_CLOCK_H_
#define TALLY_BASE_CLOCK_H_

#include <chrono>

#include "absl/time/time.h"

namespace tally {

// Tells the time. Every implementation is safe for concurrent use, and the time that it tells never
// goes back.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

// The machine's time. Reads the wall clock once, at construction, and from then on adds what the
// steady clock has counted: deadlines survive somebody setting the wall clock, at the price of
// drifting from it.
class RealClock final : public Clock {
 public:
  RealClock();
  absl::Time Now() const override;

 private:
  const absl::Time wall_start_;
  const std::chrono::steady_clock::time_point steady_start_;
};

}  // namespace tally

#endif  // TALLY_BASE_CLOCK_H_
