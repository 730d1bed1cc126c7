// A session driven by hand.
#ifndef TALLY_TESTS_UTIL_SESSION_DRIVER_H_
#define TALLY_TESTS_UTIL_SESSION_DRIVER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "client/session.h"
#include "codecs/exchange.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "tests/util/worker_run.h"

namespace tally {

// Gives a session its calls, events and time, and writes down what it asks for.
class SessionDriver {
 public:
  explicit SessionDriver(const ClientOptions& options)
      : options_(options),
        results_(*options.layout, RunOf(options)),
        session_(options, Self(), now_) {}

  Session& session() { return session_; }
  ResultMaker& results() { return results_; }
  absl::Time now() const { return now_; }

  // One line per action since the last call, in order: "open 0", "hello 0", "send chunk 3 to 1",
  // "abstain chunk 3 to 1", "heartbeat 0", "leave 0", "hand chunk 3 to w-2 by 0", "take
  // chunk 3 of w-2", "activate 7 at 0", "ask 0", "give state to 0", "cut 0", "started", "result 3
  // counted", "result 3 missed", "left", "failed".
  std::vector<std::string> Take();
  // Of the last messages of these kinds that Take() has seen.
  const v1::Hello& hello() const { return hello_; }
  const v1::Contribution& contribution() const { return contribution_; }
  const v1::Heartbeat& heartbeat() const { return heartbeat_; }
  const v1::Leave& leave() const { return leave_; }
  const v1::Handover& handover() const { return handover_; }
  const v1::StateRequest& state_request() const { return state_request_; }
  const v1::StatePart& state_part() const { return state_part_; }

  void Tick() { session_.Tick(now_); }
  // Moves time on, ticking at every moment that the session asks for.
  void Advance(absl::Duration duration);

  void Welcome(size_t aggregator, uint32_t window_chunks = 4, uint64_t instance = 1);
  // Of an observer; every chunk stands at this round; unset: nowhere yet.
  void WelcomeAsObserver(size_t aggregator, absl::optional<uint64_t> head_round = absl::nullopt);
  void Result(const v1::ResultHeader& header);
  void Genesis(uint32_t chunk) { Result(results_.GenesisOf(chunk)); }
  // Ticks, welcomes and genesis of all chunks; forgets the actions.
  void Start(uint32_t window_chunks = 4);
  void Lose(size_t aggregator, const absl::Status& status = absl::UnavailableError("cut"));
  void Notice(size_t aggregator, const std::string& reason);

  absl::Status StartRound() { return session_.StartRound(now_); }
  absl::Status Contribute(uint32_t chunk);
  absl::Status Abstain(uint32_t chunk);
  // What the tests exchange for a chunk.
  Exchange ExchangeOf(uint32_t chunk) const;
  // The chunk's result in which both workers take part.
  void Close(uint32_t chunk) { Result(results_.NextOf(chunk, ExchangeOf(chunk))); }

 private:
  std::string Line(const SessionAction& action);

  const ClientOptions options_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  ResultMaker results_;
  Session session_;
  v1::Hello hello_;
  v1::Contribution contribution_;
  v1::Heartbeat heartbeat_;
  v1::Leave leave_;
  v1::Handover handover_;
  v1::StateRequest state_request_;
  v1::StatePart state_part_;
};

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_SESSION_DRIVER_H_
