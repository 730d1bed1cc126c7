// A worker's connection to one aggregator, as far as it needs no knowledge of rounds.
#ifndef TALLY_CLIENT_AGGREGATOR_LINK_H_
#define TALLY_CLIENT_AGGREGATOR_LINK_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/client_options.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "proto/tally/v1/membership.pb.h"

namespace tally {

// Whether the stream is there, when it is opened again, when a sign of life is due, and what the
// aggregator last said. A state machine: events in, no threads, sockets or clocks. Not thread-safe.
//
//   kDown --Opened--> kGreeting --Welcomed--> kUp --Cut--> kCut
//     ^------Lost--------'---------Lost--------'---Lost-----'    End, from everywhere: kEnded
//
// An aggregator that was restarted has lost the run's history: it is up, but takes contributions
// only when it has recovered.
class AggregatorLink {
 public:
  enum class State : uint8_t {
    kDown,      // no stream; one is opened at retry_at()
    kGreeting,  // Hello is sent, Welcome has not come
    kUp,        // Welcome has come
    kCut,       // the stream is being cut: what still comes is of no concern
    kEnded,     // no stream, and no other will be opened
  };

  AggregatorLink(AggregatorAddress address, absl::Duration heartbeat_interval)
      : address_(std::move(address)), heartbeat_interval_(heartbeat_interval) {}

  State state() const { return state_; }
  bool up() const { return state_ == State::kUp; }
  // Contributions may be sent.
  bool takes_contributions() const { return up() && !recovering_; }
  // "aggregator `agg-1` (10.0.0.7:7000)".
  std::string Place() const;
  const std::string& name() const { return address_.name; }
  uint32_t window_chunks() const { return window_chunks_; }
  // Streams welcomed after the first one.
  uint64_t reconnects() const { return reconnects_; }

  void Opened(absl::Time now);
  // Returns DATA_LOSS if the message breaks its rules; FAILED_PRECONDITION if the worker may be
  // neither a member nor an observer, with the reason. The state is then as before.
  absl::Status Welcomed(const v1::Welcome& welcome);
  // The aggregator takes the worker for an observer.
  bool observes() const { return observes_; }
  // The aggregator has all of the run's history again.
  void Recovered() { recovering_ = false; }
  // The stream is gone, in the transport's or the aggregator's words. Another one follows after a
  // pause that doubles until a Welcome comes.
  void Lost(const absl::Status& status, absl::Time now);
  void End() { state_ = State::kEnded; }
  void Cut() { state_ = State::kCut; }

  void Sent(absl::Time now) { last_sent_ = now; }
  void Noticed(const v1::Notice& notice);
  // What the aggregator said has been overtaken by its result.
  void Progressed() { reason_.clear(); }

  // When a stream is to be opened; infinitely late unless kDown.
  absl::Time retry_at() const;
  // When a sign of life is due; infinitely late unless kUp.
  absl::Time heartbeat_at() const;

  // Why nothing comes, for people: the aggregator's own reason, why it cannot be reached, or "no
  // word from it".
  std::string Reason(absl::Time now) const;

 private:
  absl::Status CheckVerdict(const v1::Welcome& welcome) const;

  const AggregatorAddress address_;
  absl::Duration heartbeat_interval_;
  State state_ = State::kDown;
  absl::Time retry_at_ = absl::InfinitePast();
  absl::Duration next_pause_;
  absl::Time down_since_ = absl::InfinitePast();
  absl::Time last_sent_ = absl::InfinitePast();
  // Of the last stream's end; OK: none has ended since the last Welcome.
  absl::Status lost_;
  bool welcomed_before_ = false;
  bool recovering_ = false;
  bool observes_ = false;
  uint32_t window_chunks_ = 1;
  uint64_t reconnects_ = 0;
  std::string reason_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_AGGREGATOR_LINK_H_
