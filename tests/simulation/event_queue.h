// Simulated time, and what is to happen in it.
#ifndef TALLY_TESTS_SIMULATION_EVENT_QUEUE_H_
#define TALLY_TESTS_SIMULATION_EVENT_QUEUE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "absl/time/time.h"

namespace tally {

// Events run in the order of their times, those of one time in the order in which they were
// scheduled: a run is a function of its inputs. Not thread-safe.
class EventQueue {
 public:
  absl::Time now() const { return now_; }

  void At(absl::Time time, std::function<void()> event) {
    events_.emplace(std::make_pair(std::max(time, now_), next_++), std::move(event));
  }
  void After(absl::Duration delay, std::function<void()> event) {
    At(now_ + delay, std::move(event));
  }

  // Runs the next event. False: there is none.
  bool RunNext() {
    if (events_.empty()) return false;
    const auto first = events_.begin();
    now_ = first->first.first;
    const std::function<void()> event = std::move(first->second);
    events_.erase(first);
    event();
    return true;
  }

 private:
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  uint64_t next_ = 0;
  std::map<std::pair<absl::Time, uint64_t>, std::function<void()>> events_;
};

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_EVENT_QUEUE_H_
