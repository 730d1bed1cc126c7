// What a process that stands still will find when it goes on.
#ifndef TALLY_TESTS_SIMULATION_INBOX_H_
#define TALLY_TESTS_SIMULATION_INBOX_H_

#include <deque>
#include <functional>
#include <utility>

#include "absl/time/time.h"
#include "tests/simulation/event_queue.h"

namespace tally {

// Hands events on at once, or, during a pause and until what came in meanwhile is through, later
// and in order. Not thread-safe.
class Inbox {
 public:
  // `events` must outlive the inbox.
  explicit Inbox(EventQueue* events) : events_(events) {}

  void PauseUntil(absl::Time time) { paused_until_ = time; }
  bool paused() const { return paused_until_ > events_->now(); }
  absl::Time paused_until() const { return paused_until_; }

  void Receive(std::function<void()> event) {
    if (!paused() && held_.empty()) return event();
    held_.push_back(std::move(event));
    if (held_.size() == 1) events_->At(paused_until_, [this] { Drain(); });
  }

 private:
  void Drain() {
    while (!held_.empty()) {
      if (paused()) return events_->At(paused_until_, [this] { Drain(); });
      const std::function<void()> event = std::move(held_.front());
      held_.pop_front();
      event();
    }
  }

  EventQueue* const events_;
  absl::Time paused_until_ = absl::InfinitePast();
  std::deque<std::function<void()>> held_;
};

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_INBOX_H_
