// What a worker does in a run: the protocol core of the client.
#ifndef TALLY_CLIENT_SESSION_H_
#define TALLY_CLIENT_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/buffer.h"
#include "client/aggregator_link.h"
#include "client/bequest.h"
#include "client/chunk_archive.h"
#include "client/chunk_history.h"
#include "client/client_options.h"
#include "client/early_results.h"
#include "client/inheritance.h"
#include "client/inheritances.h"
#include "client/newcomer.h"
#include "client/saved_run.h"
#include "client/session_action.h"
#include "client/state_donor.h"
#include "client/undone_contribution.h"
#include "codecs/checked_result.h"
#include "codecs/place.h"
#include "codecs/roster.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {

// A pure state machine without threads, sockets or clocks: calls and events go in, each with the
// present time; what is to be done comes out of TakeActions. Per chunk x and round r:
//
//   AT(r-1) --Contribute--> SENT(r) --Result(r)--> AT(r)
//
// and on the aggregator's side of things, per stream:
//
//   OpenStream, Hello --> Welcome --> contributions within the window, heartbeats
//        ^------------- stream lost, after a pause -------------'
//
// An open contribution is kept until its result is there and is sent again on every new stream, so
// that nothing is lost with a stream; the aggregator counts it once. An aggregator that was
// restarted reads its past from the workers: it says what it needs, the session replays it from
// its archives, and contributions go out when the aggregator has recovered.
//
// A worker that comes when the run has begun is a newcomer: it watches, gets the state from a
// member, plays the rounds since then without taking part, and asks to be taken in when it is
// level. Headers say, chunk by chunk, from when on it is a member.
//
// Every wait has a deadline: the start start_timeout (of a newcomer since the last part of the
// state), a result aggregator_timeout since the aggregator's last progress.
//
// After a failure (SessionFailed, which comes once) every call returns the same status and events
// change nothing. Not thread-safe.
class Session {
 public:
  // Counts since the start.
  struct Counters {
    uint64_t rounds = 0;  // of which all results are there
    uint64_t reconnects = 0;
    uint64_t missed_contributions = 0;
    // Contributions of a worker that was evicted of which nobody knows whether they count.
    uint64_t unsettled_contributions = 0;
    // Those that it has seen counted, in a history that did not survive (TakeUndone).
    uint64_t undone_contributions = 0;
  };

  // `options` are valid (ValidateClientOptions). Nothing happens before the first Tick.
  Session(ClientOptions options, MemberId member, absl::Time now);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // What is to be done since the last call, in this order.
  SessionActions TakeActions() { return std::exchange(actions_, {}); }

  // A newcomer's start: unset if the worker has begun the run with the others.
  const absl::optional<SharedState>& joined_state() const { return joined_state_; }

  // In some chunk's roster of the next exchange, which others have not closed without this worker:
  // they wait for it.
  bool takes_part() const;
  // In every chunk's roster.
  bool takes_part_in_all() const;

  // A newcomer waits for the replicated state as it is now, between two rounds.
  bool state_wanted() const;
  // Gives it; `bytes` is not empty.
  // Returns FAILED_PRECONDITION if the run has not started or results are missing.
  absl::Status GiveState(SharedBuffer bytes, absl::Time now);

  // Opens round next_round(). An observer who has come level with the others asks to take part.
  // Returns FAILED_PRECONDITION if the run has not started, or results of the round before are
  // missing.
  absl::Status StartRound(absl::Time now);

  // Takes the chunk's contribution to the open round: `contribution` has exchange, payload_digest
  // and abstain set, the rest is filled in here. `payload` is null if it abstains. If the round of
  // this chunk closed without this worker, or it is not in the roster, nothing is sent.
  // Returns INVALID_ARGUMENT if the chunk does not exist; FAILED_PRECONDITION if no round is open,
  // the chunk has contributed to this half of it, or there is no second half to contribute to.
  absl::Status Contribute(uint32_t chunk, v1::Contribution contribution, SharedBuffer payload,
                          absl::Time now);

  // Takes leave after the last result of a round. `residual` [num_elements], or empty, is handed
  // over to the heirs that headers name, as far as they come and take it in time. An aggregator
  // ends the stream when that is done, and nobody needs this worker's memory any more: all others
  // have that result, or are leaving too. RunLeft follows when all streams have ended.
  // Returns FAILED_PRECONDITION if the run has not started or results are missing.
  absl::Status Leave(absl::Span<const float> residual, absl::Time now);
  // What has become of that residual; null: nothing is to be handed over.
  const Bequest* bequest() const { return bequest_.has_value() ? &*bequest_ : nullptr; }

  // What leavers have handed over to this worker since the last call; from the first one on it
  // takes it.
  std::vector<Inheritance> TakeInheritances() { return inheritances_.Take(); }

  // The next round to be opened is one that all workers save their state after.
  void SaveNextRound();
  // The lowest chunk whose residual is to be in this worker's custody after such a round, and is
  // not yet.
  absl::optional<uint32_t> AwaitedSnapshot() const;
  // What a worker that left lately hands over to this one may still come; with the snapshot it goes
  // into what is saved.
  bool AwaitsInheritance(absl::Time now) const;
  // Whether the last round is over and was one of those.
  // Returns FAILED_PRECONDITION, saying why, if not.
  absl::Status CheckSaveable() const;
  // What this worker keeps of the run, between two rounds.
  // Returns as CheckSaveable, or DEADLINE_EXCEEDED, naming chunk and aggregator, while
  // AwaitedSnapshot is set.
  absl::StatusOr<SavedRun> SaveRun() const;

  // The contributions to the next round are to tell the digest of the replicated state as it is
  // now.
  bool ReplicaDigestWanted() const;
  void TellReplicaDigest(uint64_t digest) { replica_digest_ = digest; }
  // Whose state was another than that of most, as the aggregators told last.
  const std::vector<std::string>& drifted() const { return drifted_; }

  // The run goes on without this worker, which was evicted and may come again: it plays the open
  // round to its end by itself, and StartRound returns ABORTED.
  bool evicted() const { return !eviction_.ok(); }
  // All aggregators have told what they count of it, or have had their time.
  bool settled() const;
  // The former: what it knows is everything.
  bool told_by_all() const;
  // What they have told that they do not count, though this worker has seen it counted; since the
  // last call.
  std::vector<UndoneContribution> TakeUndone() { return std::exchange(undone_, {}); }

  // What came in from an aggregator.
  void OnWelcome(size_t aggregator, const v1::Welcome& welcome, absl::Time now);
  void OnResult(size_t aggregator, CheckedResult result, absl::Time now);
  void OnNotice(size_t aggregator, const v1::Notice& notice);
  void OnRefusal(size_t aggregator, const v1::Refusal& refusal);
  void OnNeed(size_t aggregator, const v1::Need& need, absl::Time now);
  // A snapshot of the aggregator's residual, complete and with its digest checked.
  void OnSnapshot(size_t aggregator, const v1::ResidualSnapshot& snapshot, SharedBuffer payload,
                  absl::Time now);
  // A newcomer asks this worker for the state.
  void OnStateRequest(size_t aggregator, const v1::StateRequest& request, absl::Time now);
  // A part of the state that this worker has asked for.
  void OnStatePart(size_t aggregator, const v1::StatePart& part, absl::string_view piece,
                   absl::Time now);
  // What a leaver hands over to this worker, complete and finite; and the heir of what this one
  // hands over has it.
  void OnHandover(size_t aggregator, const v1::Handover& handover, SharedBuffer payload,
                  absl::Time now);
  // An aggregator tells again who inherits from this worker.
  void OnHeir(size_t aggregator, const v1::Handover& note, absl::Time now);
  void OnHandoverAck(size_t aggregator, const v1::HandoverAck& ack, absl::Time now);
  // A message that cannot be used, and why.
  void OnBadMessage(size_t aggregator, const absl::Status& why);
  // The last event of a stream; another stream may follow.
  void OnStreamLost(size_t aggregator, const absl::Status& status, absl::Time now);

  // Does what is due: opens streams, sends heartbeats, ends waits. To be called at NextTick() at
  // the latest; calls in between do no harm.
  void Tick(absl::Time now);
  absl::Time NextTick() const;

  // This worker, as it is known now.
  const MemberId& member() const { return identity_.member; }
  bool started() const { return started_; }
  // OK until SessionFailed, or until the worker has left.
  const absl::Status& failure() const { return failure_; }
  uint64_t next_round() const { return next_round_; }
  // Results of the open round that have not come.
  size_t missing_results() const { return missing_results_; }
  // A result may come without another call: some contribution is on its way.
  bool awaits_result() const;
  // Why nothing goes on, for people: "round 812, chunk 3 at `agg-1`: ..."; empty if nothing waits.
  std::string WaitingFor(absl::Time now) const;
  Counters counters() const;

 private:
  struct OpenContribution {
    v1::Contribution message;  // without links, which are news
    SharedBuffer payload;
    bool sent = false;      // on the stream that is up
    bool was_sent = false;  // on some stream
  };
  struct Chunk {
    ChunkHistory history;
    ChunkArchive archive;
    // Halves of the open round for which Contribute was called.
    uint32_t contributed_halves = 0;
    // The contribution that no result has answered.
    absl::optional<OpenContribution> open;
    // The caller has put in what nobody wants: a result is awaited all the same.
    bool watching = false;
    // Results of the open round that came before the caller's turn, in order: others closed it
    // without this worker. They are handed out when the caller has contributed.
    std::vector<ChunkResult> held;
    // The newest entry is one that the run may be saved after.
    struct SavedEntry {
      // Of the aggregator's residual; 0: it is zero.
      double residual_norm = 0;
      // The residual is to be in this worker's custody.
      bool is_custodian = false;
    };
    absl::optional<SavedEntry> saved;
    // When the newest result came.
    absl::Time applied_at;
    // The newest exchanges whose headers count this worker, ascending: what a crash may undo.
    std::deque<UndoneContribution> counted;
  };
  // One aggregator and its chunks: number `aggregator` and every size-of-the-list-th after it.
  // Their positions count 0, 1, 2...
  struct Aggregator {
    AggregatorLink link;
    size_t num_chunks = 0;
    // Position of the first chunk whose result of the open round is missing.
    size_t first_missing = 0;
    size_t num_watching = 0;
    // Why it has ended the stream of this worker, an observer, for good: OK while it has not. That
    // is no failure before a result is missing.
    absl::Status end;
    // This worker has left, and was a member here: it stays until the aggregator lets it go.
    bool leaves_as_member = false;
    // And has been let go: the stream has ended with OK.
    bool let_go = false;
    // It has been told that this worker is late in the open round.
    bool told_late = false;
    // Since when a sent contribution (or one that could be, were the stream there) has gone without
    // any result; infinitely late: nothing waits.
    absl::Time waiting_since = absl::InfiniteFuture();
  };

  Chunk& ChunkAt(size_t aggregator, size_t position);
  const Chunk& ChunkAt(size_t aggregator, size_t position) const;
  uint32_t ChunkIndex(size_t aggregator, size_t position) const;
  // Positions from which contributions may be sent: [first_missing, WindowEnd).
  size_t WindowEnd(size_t aggregator) const;
  bool Awaited(size_t aggregator) const;
  bool HoldsHistory(size_t aggregator) const;
  // In the roster of some chunk there, as far as this worker knows.
  bool IsMemberAt(size_t aggregator) const;
  // In that of some chunk anywhere.
  bool IsMember() const;
  bool leaving() const { return leave_deadline_ != absl::InfiniteFuture(); }

  void Open(size_t aggregator, absl::Time now);
  void Send(size_t aggregator, v1::ClientMessage message, SharedBuffer payload, absl::Time now);
  void SendWindow(size_t aggregator, absl::Time now);
  // A result is missing that will not come.
  void FailAtEnd(size_t aggregator);
  void SendLeave(size_t aggregator, absl::Time now);
  // Some of the residual is still to be handed over there.
  bool HandsOver(size_t aggregator) const {
    return bequest_.has_value() && !bequest_->done(aggregator);
  }
  // A result that comes after Leave may name an heir.
  void TakeFarewell(size_t aggregator, const CheckedResult& result, absl::Time now);
  // Learns that it was evicted, and settles what it has sent: what aggregators count of it, as far
  // as they tell in time. Where nobody tells it counts.
  void LearnEvicted(const std::string& why, absl::Time now);
  void OnFenced(size_t aggregator, const v1::Welcome& welcome, absl::Time now);
  // The result counts the chunk's open contribution.
  void RememberCounted(Chunk& chunk, const CheckedResult& result) const;
  // With VERDICT_FENCED: this worker's newest entry of the chunk is in no history there.
  bool IsUndone(const v1::Welcome::ChunkState& state) const;
  // What this worker has seen counted there, and does not count.
  void FindUndone(const v1::Welcome::ChunkState& state);
  void Settle(uint32_t chunk, bool counted);
  // Settles what is open there without anybody's word.
  void SettleUntold(size_t aggregator);
  void DeliverSettled(uint32_t chunk, const Place& place, bool counted);
  // Goes on with the hand-over there; when it is over, takes leave for good.
  void HandOver(size_t aggregator, absl::Time now);
  void WelcomeLeaver(size_t aggregator, absl::Time now);
  void EndHandover(absl::Time now);
  // What still comes from there is of a stream that this worker has cut.
  bool IsCut(size_t aggregator) const {
    return aggregators_[aggregator].link.state() == AggregatorLink::State::kCut;
  }
  void MakeChunks();
  bool MayJoin() const { return options_.elastic || options_.entry != RunEntry::kBegin; }
  void EngageNewcomer();
  // Comes anew, as an observer with a new incarnation, which is later than `fence`.
  void BecomeNewcomer(uint64_t fence, absl::Time now);
  void Watch(size_t aggregator, const v1::Welcome& welcome, absl::Time now);
  void AskForState(absl::Time now);
  void StartFrom(absl::Time now);
  // Asks to take part, if that is due.
  void ActivateIfLevel(absl::Time now);
  void SendActivate(size_t aggregator, absl::Time now);
  // Where this worker stands between two rounds, as a donor tells it; unset: it is not kept.
  absl::optional<v1::StatePart> StateHead() const;
  void SendParts(std::vector<StateDonor::Part> parts, absl::Time now);
  // Answers a need for pieces of a chunk's past.
  absl::Status Replay(size_t aggregator, const v1::Need& need, absl::Time now);
  void ReplayEntry(size_t aggregator, uint32_t chunk, v1::Need::Kind kind,
                   const ChunkArchive::Entry& entry, absl::Time now);
  void ReplayOpen(size_t aggregator, const OpenContribution& open, absl::Time now);
  void ReturnSnapshot(size_t aggregator, uint32_t chunk, const ChunkArchive::Snapshot& snapshot,
                      absl::Time now);
  // The residual after that entry goes into this worker's custody; `history` stands before it.
  bool IsCustodian(const ChunkHistory& history, const CheckedResult& result) const;
  static const ChunkArchive::Snapshot* SnapshotAtHead(const Chunk& chunk);
  // Of the run that this one resumes: what a Hello says, and what this worker holds.
  void TellSaved(uint32_t chunk, v1::ChunkProgress& progress) const;
  ChunkArchive::Snapshot SavedSnapshot(uint32_t chunk) const;
  // The chunk has begun with what this worker holds of it, which is the snapshot of its genesis.
  void KeepSaved(const v1::ResultHeader& genesis, uint64_t chain);
  v1::ClientMessage HelloTo(size_t aggregator) const;
  v1::ClientMessage HeartbeatAt(absl::Time now) const;
  // Tells the chunk's aggregator how late this worker is with a contribution that nobody waits for.
  void TellLate(uint32_t chunk, absl::Time now);
  v1::LinkReport Links() const;
  void AddFences(google::protobuf::RepeatedPtrField<v1::Member>& fences) const;

  void Apply(size_t aggregator, CheckedResult result, absl::Time now);
  void Archive(const ChunkHistory::Applied& applied, const CheckedResult& result);
  void TakeResult(const ChunkHistory::Applied& applied, CheckedResult result);
  void Deliver(ChunkResult result);
  // Delivers what was held until the caller's turn, which has come.
  void DeliverHeld(Chunk& chunk);
  // The aggregator has made progress, or a round has begun: its waits begin anew.
  void Answered(size_t aggregator, absl::Time now);
  void EndIfLeft();
  void Fail(absl::Status status);

  absl::Status CheckUsable() const;
  // Whether the chunk's contribution to that exchange is the next one to be made.
  absl::Status CheckTurn(uint32_t chunk, const Place& place) const;
  absl::Status MissingResultsError() const;
  void CheckDeadlines(absl::Time now);
  absl::Status StartTimeoutError(absl::Time now) const;
  absl::Status AggregatorTimeoutError(size_t aggregator, absl::Time now) const;
  std::string StartReason(absl::Time now) const;
  std::string WaitReason(size_t aggregator, absl::Time now) const;
  // Why an aggregator has not let this worker go.
  std::string LeaveReason(size_t aggregator, absl::Time now) const;
  // The lowest chunk for whose result the aggregator is waited for; there is one.
  uint32_t FirstAwaited(size_t aggregator) const;

  // The run that this one resumes, until the chunks have begun.
  absl::optional<SavedRun> resumed_;
  const ClientOptions options_;
  const v1::Layout layout_;
  const v1::JobSettings settings_;
  RunIdentity identity_;
  absl::Time start_deadline_;

  SessionActions actions_;
  std::vector<Aggregator> aggregators_;
  std::vector<Chunk> chunks_;
  absl::Status failure_;
  bool started_ = false;
  size_t missing_genesis_;
  uint64_t next_round_;
  // Open from StartRound to the next one.
  absl::optional<uint64_t> round_;
  size_t missing_results_ = 0;
  // Of the round that is opened next, and of the open one.
  bool save_announced_ = false;
  bool round_saves_ = false;
  // Of the state before the open round; 0: the trainer has not told.
  uint64_t replica_digest_ = 0;
  uint64_t round_replica_digest_ = 0;
  std::vector<std::string> drifted_;
  // Results of rounds that this worker has not opened yet: others may close a round without it.
  EarlyResults early_results_;
  absl::Time leave_deadline_ = absl::InfiniteFuture();
  absl::optional<Bequest> bequest_;
  // Infinite: nothing is handed over any more.
  absl::Time handover_deadline_ = absl::InfiniteFuture();
  Inheritances inheritances_;
  absl::Status eviction_;
  absl::Time settle_deadline_ = absl::InfiniteFuture();
  std::vector<UndoneContribution> undone_;
  // Until the state is there.
  absl::optional<Newcomer> newcomer_;
  absl::optional<SharedState> joined_state_;
  // From when on it wants to take part; unset: it has not asked.
  absl::optional<uint64_t> activate_round_;
  StateDonor donor_;
  // The highest dead incarnation by worker, as headers have told; told on to all aggregators.
  std::map<std::string, uint64_t> fences_;
  Counters counters_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_SESSION_H_
