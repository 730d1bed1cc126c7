// A worker's process in a simulation.
#ifndef TALLY_TESTS_SIMULATION_SIMULATED_WORKER_H_
#define TALLY_TESTS_SIMULATION_SIMULATED_WORKER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/choices.h"
#include "client/bequest.h"
#include "client/client_options.h"
#include "client/inheritance.h"
#include "client/session.h"
#include "codecs/place.h"
#include "codecs/roster.h"
#include "tests/simulation/applied_entry.h"
#include "tests/simulation/contribution_log.h"
#include "tests/simulation/inbox.h"
#include "tests/simulation/private_state.h"
#include "tests/simulation/simulated_aggregator.h"
#include "tests/simulation/simulated_network.h"

namespace tally {

// What a worker that was evicted was told of its last contribution to a chunk.
struct Settlement {
  MemberId member;
  uint32_t process = 0;
  uint32_t chunk = 0;
  Place place;
  bool counted = false;
};

// What all workers have of a chunk: what a trainer's parameters are.
struct SharedChunk {
  uint64_t digest = 0;
  std::vector<float> tracked;  // what all know of the mean of what is tracked; empty: nothing is
};

struct SimulatedWorkerOptions {
  ClientOptions client;
  MemberId member;
  uint64_t last_round = 0;
  // Of what it contributes, and of its latencies.
  uint64_t seed = 0;
  // What it computes takes that long now and then, and mostly 20 ms.
  absl::Duration longest_thought;
  // Tells it from all other processes of its job.
  uint32_t process = 0;
  // It saves itself after that round, if it can.
  absl::optional<uint64_t> save_after;
  // It lives, but the run goes on without it: it is to come again.
  std::function<void()> when_aborted;
};

// A worker whose trainer contributes what a script says.
class SimulatedWorker {
 public:
  // Where it goes on from, as a checkpoint holds it.
  struct Saved {
    std::string run;
    std::vector<SharedChunk> shared;  // empty: that of others is loaded
    PrivateState own;
  };

  // `log` is that of its run. `saved` is null, or what a process of this worker saved for it: in a
  // run that is resumed all, of one that came anew its private state.
  SimulatedWorker(SimulatedNetwork* network, SimulatedAggregators* aggregators,
                  ContributionLog* log, SimulatedWorkerOptions options,
                  const Saved* saved = nullptr);

  // Ends it without a word.
  void Kill();
  // It leaves when its round is over, and hands its residual over.
  void LeaveEarly() { leaves_early_ = true; }
  // Stands still until then; what arrives waits.
  void PauseUntil(absl::Time time) { inbox_.PauseUntil(time); }
  Inbox& inbox() { return inbox_; }

  const std::string& name() const { return options_.client.worker; }
  const MemberId& member() const { return session_.member(); }
  uint32_t process() const { return options_.process; }
  bool leaves_early() const { return leaves_early_; }
  bool dead() const { return dead_; }
  // The run goes on without it, and it knows.
  bool was_evicted() const;
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

  const History& history() const { return history_; }
  uint64_t missed_contributions() const { return session_.counters().missed_contributions; }
  uint64_t undone_contributions() const { return session_.counters().undone_contributions; }
  // What has become of its residual; null: it has not left with one.
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
  const PrivateState& own() const { return own_; }
  // Between rounds, a digest of the chunks' chains and one of the replicated state that stands on
  // them.
  const std::set<std::pair<uint64_t, uint64_t>>& replicas() const { return replicas_; }
  // It has ended, and knows of everything that it has contributed whether it counts.
  bool has_closed_its_books() const;
  // Null: it has not saved itself.
  const Saved* saved() const { return saved_.has_value() ? &*saved_ : nullptr; }

  void ReceiveWelcome(const SimulatedStream& stream, const v1::Welcome& welcome);
  void ReceiveResult(const SimulatedStream& stream, const StoredResult& result);
  void ReceiveControl(const SimulatedStream& stream, const v1::ServerMessage& message);
  void ReceiveSnapshot(const SimulatedStream& stream, const ResidualSnapshot& snapshot);
  void ReceiveRefusal(const SimulatedStream& stream, const absl::Status& status);
  void LoseStream(const SimulatedStream& stream, const absl::Status& status);

 private:
  const Layout& layout() const { return *options_.client.layout; }
  void CarryOut();
  void TakeInheritances();
  void ScheduleTick();
  void CutStreamTo(size_t aggregator);
  // The chains of all chunks, as bytes, and the trainer's replicated state, which stands on them.
  std::string Chains() const;
  std::string ReplicatedState() const;
  void GiveStateIfWanted();
  void LoadState(const Buffer& bytes);
  uint64_t ChainOf(uint32_t chunk) const;
  void Contribute(uint32_t chunk, const Exchange& exchange, const Place& place,
                  const SharedBuffer& candidates);
  void Deliver(const ChunkResult& result);
  void Apply(const ChunkResult& result, const AppliedEntry& entry);
  void Fail(const absl::Status& status);
  // True while it waits for what it needs to save itself.
  bool SaveIfDue();
  void GoOn();
  void PlayRound();
  bool IsCurrent(const SimulatedStream& stream) const;

  SimulatedNetwork* const network_;
  SimulatedAggregators* const aggregators_;
  ContributionLog* const log_;
  const SimulatedWorkerOptions options_;
  Choices choices_;
  Session session_;
  // By aggregator; null: none.
  std::vector<std::shared_ptr<SimulatedStream>> streams_;
  // Results that came in and are not delivered yet, by chunk and place.
  std::map<std::pair<uint32_t, Place>, AppliedEntry> pending_;
  History history_;
  // Of a newcomer, before its first entry of each chunk.
  std::vector<uint64_t> first_chains_;
  std::vector<SharedChunk> shared_;
  std::set<std::pair<uint64_t, uint64_t>> replicas_;
  PrivateState own_;
  std::vector<Inheritance> inherited_;
  std::vector<Settlement> settlements_;
  absl::optional<Saved> saved_;
  absl::Time save_until_ = absl::InfiniteFuture();
  uint64_t tick_ = 0;
  Inbox inbox_;
  bool leaves_early_ = false;
  bool thinking_ = false;
  bool leaving_ = false;
  bool left_ = false;
  bool left_late_ = false;
  bool dead_ = false;
  absl::Status failure_;
};

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_SIMULATED_WORKER_H_
