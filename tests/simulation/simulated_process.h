// The processes of a simulated job.
#ifndef TALLY_TESTS_SIMULATION_SIMULATED_PROCESS_H_
#define TALLY_TESTS_SIMULATION_SIMULATED_PROCESS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "aggregator/contribution_reader.h"
#include "aggregator/engine.h"
#include "aggregator/replay_reader.h"
#include "base/choices.h"
#include "client/bequest.h"
#include "client/client_options.h"
#include "client/inheritance.h"
#include "client/session.h"
#include "codecs/handover_reader.h"
#include "kernels/backend.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/inbox.h"
#include "tests/simulation/simulated_job.h"

namespace tally {

class SimulatedAggregator;

// A stream between a worker and an aggregator: what one side sends the other receives later, in
// order, unless the stream breaks first.
struct SimulatedStream {
  StreamId id = 0;
  SimulatedWorker* worker = nullptr;
  size_t aggregator = 0;
  bool broken = false;
  // When the last message of each direction arrives.
  absl::Time last_up;
  absl::Time last_down;
  // Of the aggregator's side, from Welcome on.
  std::unique_ptr<ContributionReader> contributions;
  std::unique_ptr<ReplayReader> replays;
  // Of the worker's side.
  std::unique_ptr<HandoverReader> handovers;
};

// What processes share: time, chance and the wires.
class SimulatedNetwork {
 public:
  explicit SimulatedNetwork(uint64_t seed) : choices_(seed, /*purpose=*/1) {}

  EventQueue& events() { return events_; }
  absl::Duration Latency() {
    return choices_.Between(absl::Microseconds(50), absl::Milliseconds(5));
  }
  std::shared_ptr<SimulatedStream> Open(SimulatedWorker* worker, size_t aggregator);
  // Lets nothing through between the two until then.
  void Part(const SimulatedWorker* worker, size_t aggregator, absl::Time until) {
    parted_until_[{worker, aggregator}] = until;
  }
  bool parted(const SimulatedStream& stream) const {
    const auto found = parted_until_.find({stream.worker, stream.aggregator});
    return found != parted_until_.end() && found->second > events_.now();
  }
  // Carries a message to the other side.
  void SendUp(const std::shared_ptr<SimulatedStream>& stream, std::function<void()> receive);
  void SendDown(const std::shared_ptr<SimulatedStream>& stream, std::function<void()> receive);
  // Nothing more arrives; the worker learns of it a little later.
  void Break(const std::shared_ptr<SimulatedStream>& stream, const absl::Status& status);

 private:
  EventQueue events_;
  Choices choices_;
  StreamId next_id_ = 1;
  std::map<std::pair<const SimulatedWorker*, size_t>, absl::Time> parted_until_;
};

// An aggregator that can be killed and started again with an empty memory.
class SimulatedAggregator {
 public:
  SimulatedAggregator(SimulatedNetwork* network, size_t index, uint64_t seed,
                      absl::Duration evict_after);

  void Start();
  void Kill();
  // Is told to go; it must be killed in the end.
  void Drain();
  bool running() const { return engine_ != nullptr; }
  // Stands still until then; what arrives waits.
  void PauseUntil(absl::Time time) { inbox_.PauseUntil(time); }

  // A stream's message arrives.
  void Receive(const std::shared_ptr<SimulatedStream>& stream, v1::ClientMessage message);
  // The worker sends no more, or the stream broke.
  void ReceiveEnd(const std::shared_ptr<SimulatedStream>& stream);
  // Streams that are open here.
  std::vector<std::shared_ptr<SimulatedStream>> streams() const;
  v1::GetStatusResponse Status() const { return engine_->Status("", network_->events().now()); }

 private:
  void CarryOut(Actions actions);
  void Take(const std::shared_ptr<SimulatedStream>& stream, v1::ClientMessage message);
  void TakeEnd(const std::shared_ptr<SimulatedStream>& stream);
  void Tick(uint64_t life);
  absl::Status Handle(SimulatedStream& stream, v1::ClientMessage& message);
  void RunLater(ExchangeTask task);

  SimulatedNetwork* const network_;
  const size_t index_;
  const absl::Duration evict_after_;
  const Backend* const backend_;
  Choices choices_;
  uint64_t life_ = 0;
  Inbox inbox_;
  std::unique_ptr<Engine> engine_;
  std::map<StreamId, std::shared_ptr<SimulatedStream>> streams_;
};

// A worker whose trainer contributes scripted payloads.
class SimulatedWorker {
 public:
  using Aggregators = std::vector<std::unique_ptr<SimulatedAggregator>>;

  // `longest_thought`: what it computes takes that long now and then, and mostly 20 ms.
  SimulatedWorker(SimulatedNetwork* network, Aggregators* aggregators, ClientOptions options,
                  MemberId member, uint64_t rounds, uint64_t seed, absl::Duration longest_thought);

  // Ends it without a word.
  void Kill();
  // It leaves when its round is over, and hands `residual` over.
  void LeaveEarly(std::vector<float> residual) { bequest_ = std::move(residual); }
  bool leaves_early() const { return !bequest_.empty(); }
  // What has become of it; null: it has not left so.
  const Bequest* bequest() const { return session_.bequest(); }
  // What became of contributions whose results it has not seen, when it was evicted.
  const std::vector<Settlement>& settlements() const { return settlements_; }
  // Nobody could tell of some.
  bool is_unsettled() const { return session_.counters().unsettled_contributions > 0; }
  // What leavers have handed over to it.
  const std::vector<Inheritance>& inherited() {
    TakeInheritances();
    return inherited_;
  }
  // Stands still until then; what arrives waits.
  void PauseUntil(absl::Time time) { inbox_.PauseUntil(time); }
  Inbox& inbox() { return inbox_; }
  // The run goes on without it, and it knows.
  bool was_evicted() const;
  bool dead() const { return dead_; }
  // Leave ended with DEADLINE_EXCEEDED.
  bool left_late() const { return left_late_; }
  bool started() const { return session_.started(); }
  // It has the state, and is in the roster of every chunk.
  bool takes_part() const { return !finished() && session_.takes_part_in_all(); }
  // It came when the run had begun.
  bool is_newcomer() const { return session_.joined_state().has_value(); }
  // The run was over before it had come in, or while it watched.
  bool came_too_late() const;
  // Has left, failed or was killed.
  bool finished() const { return left_ || dead_ || !failure_.ok(); }
  const absl::Status& failure() const { return failure_; }
  std::string WaitingFor() const;
  const std::string& name() const { return options_.worker; }
  const std::map<uint32_t, std::vector<AppliedEntry>>& history() const { return history_; }
  uint64_t missed_contributions() const { return session_.counters().missed_contributions; }

  void ReceiveWelcome(const SimulatedStream& stream, const v1::Welcome& welcome);
  void ReceiveResult(const SimulatedStream& stream, const StoredResult& result);
  void ReceiveControl(const SimulatedStream& stream, const v1::ServerMessage& message);
  void ReceiveSnapshot(const SimulatedStream& stream, const ResidualSnapshot& snapshot);
  void ReceiveRefusal(const SimulatedStream& stream, const absl::Status& status);
  void LoseStream(const SimulatedStream& stream, const absl::Status& status);

 private:
  void CarryOut();
  void TakeInheritances();
  void ScheduleTick();
  void CutStreamTo(size_t aggregator);
  // What the trainer's replicated state is here: the chains of what it has applied.
  void LoadState(const Buffer& state);
  void GiveStateIfWanted();
  uint64_t ChainOf(uint32_t chunk) const;
  void Contribute(uint32_t chunk, const Exchange& exchange, uint32_t half);
  void Deliver(const ChunkResult& result);
  void GoOn();
  bool IsCurrent(const SimulatedStream& stream) const;

  SimulatedNetwork* const network_;
  Aggregators* const aggregators_;
  const ClientOptions options_;
  const uint64_t last_round_;
  const uint64_t run_seed_;
  const absl::Duration longest_thought_;
  Choices choices_;
  Session session_;
  // By aggregator; null: none.
  std::vector<std::shared_ptr<SimulatedStream>> streams_;
  // Results that came in and are not delivered yet, by chunk and place.
  std::map<std::pair<uint32_t, Place>, AppliedEntry> pending_;
  std::map<uint32_t, std::vector<AppliedEntry>> history_;
  // Of a newcomer, before its first entry of each chunk.
  std::vector<uint64_t> first_chains_;
  std::vector<float> bequest_;
  std::vector<Inheritance> inherited_;
  std::vector<Settlement> settlements_;
  uint64_t tick_ = 0;
  Inbox inbox_;
  bool thinking_ = false;
  bool leaving_ = false;
  bool left_ = false;
  bool left_late_ = false;
  bool dead_ = false;
  absl::Status failure_;
};

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_SIMULATED_PROCESS_H_
