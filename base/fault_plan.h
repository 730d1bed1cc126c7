// Faults that people inject into their own jobs, to see whether they survive them.
#ifndef TALLY_BASE_FAULT_PLAN_H_
#define TALLY_BASE_FAULT_PLAN_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/choices.h"

namespace tally {

// What happens to a process, at random times that a seed decides.
struct FaultPlan {
  uint64_t seed = 0;
  // Mean time between two cuts of one of its streams; infinite: none.
  absl::Duration cut = absl::InfiniteDuration();
  // The longest time that a message waits before it is sent. Messages of a stream keep their order.
  absl::Duration delay = absl::ZeroDuration();
  // Mean time until the process kills itself with SIGKILL; infinite: never.
  absl::Duration kill = absl::InfiniteDuration();

  bool empty() const {
    return cut == absl::InfiniteDuration() && delay == absl::ZeroDuration() &&
           kill == absl::InfiniteDuration();
  }
};

// Reads "seed=1,cut=2s,delay=20ms,kill=1m", any of them; empty text: no faults.
// Returns INVALID_ARGUMENT, naming the part, its value and the rule, if a key is unknown or comes
// twice, the seed is no number, or a duration is not positive.
absl::StatusOr<FaultPlan> ParseFaultPlan(absl::string_view text);

// A random time with this mean, from zero to twice as long; infinite if the mean is.
absl::Duration TimeAround(absl::Duration mean, Choices& choices);

}  // namespace tally

#endif  // TALLY_BASE_FAULT_PLAN_H_
