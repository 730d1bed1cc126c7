// One run of one job: its members, its chunks, and who waits for whom.
#ifndef TALLY_AGGREGATOR_JOB_H_
#define TALLY_AGGREGATOR_JOB_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "aggregator/actions.h"
#include "aggregator/chunk_round.h"
#include "aggregator/eviction.h"
#include "aggregator/handover_relay.h"
#include "aggregator/job_description.h"
#include "aggregator/job_recovery.h"
#include "aggregator/recent_durations.h"
#include "aggregator/saved_residuals.h"
#include "aggregator/state_relay.h"
#include "proto/tally/v1/status.pb.h"

namespace tally {

// Pure state machine. Events append to `actions`. Not thread-safe.
//
//   FORMING --expected workers are here--> RUNNING
//      '--a Hello with a history--> RECOVERING --all chunks are read back--^
//
// A run forms until its expected workers have said Hello here, or its start timeout has passed and
// more than half have. Then all of its chunks open with the same roster, and each goes on by
// itself. If a worker holds a history of the run, the aggregator has lost it and reads it back.
class Job {
 public:
  // `running_time` is the aggregator's own, in which silence is measured: a pause of its process
  // makes nobody silent.
  Job(uint64_t serial, std::shared_ptr<const JobDescription> description, uint32_t window_chunks,
      const EvictionRule& eviction, uint64_t admitted_bytes, absl::Time now,
      absl::Duration running_time);

  // A worker's stream comes in, with a Hello that fits this run. `welcome` holds what is the same
  // for all streams. Who comes when the run has begun is an observer at first.
  // Returns FAILED_PRECONDITION if the worker may not join now, or its history is not this run's;
  // ABORTED if a newer incarnation of the worker is here, this one is dead, or it has lost track;
  // RESOURCE_EXHAUSTED if too many observe.
  absl::Status HandleHello(StreamId stream, const MemberId& member, const v1::Hello& hello,
                           v1::Welcome welcome, absl::Time now, Actions& actions);

  // Returns as ChunkRound::Stage, or FAILED_PRECONDITION if the contribution is beyond the window:
  // the error is the offender's alone.
  absl::Status HandleContribution(StreamId stream, const MemberId& member,
                                  StagedContribution contribution, absl::Time now,
                                  Actions& actions);
  // Returns as JobRecovery::Take; what nobody waits for any more is dropped.
  absl::Status HandleReplay(const MemberId& member, Replayed piece, absl::Time now,
                            Actions& actions);
  // Returns INVALID_ARGUMENT if the chunk is not this aggregator's.
  absl::Status HandleSnapshotAck(const MemberId& member, const v1::ResidualSnapshotAck& ack,
                                 absl::Time now);
  void HandleOutcome(const ExchangeOutcome& outcome, absl::Time now, Actions& actions);
  void HandleHeartbeat(const MemberId& member, const v1::Heartbeat& heartbeat, absl::Time now,
                       Actions& actions);
  // The member has all results up to that round and goes. It stays until the others have them too:
  // were this aggregator killed before, only the member could give them; and until its deadline
  // while it has something to hand over and there is somebody to take it.
  void HandleLeave(const MemberId& member, const v1::Leave& leave, absl::Time now,
                   Actions& actions);
  // A piece of a leaver's residual, for the heir that a header names.
  // Returns INVALID_ARGUMENT if the chunk is not this aggregator's, or another one inherits it;
  // FAILED_PRECONDITION if the worker has not said that it leaves; else as HandoverRelay::Relay.
  absl::Status HandleHandover(const MemberId& leaver, v1::Handover handover, std::string piece,
                              absl::Time now, Actions& actions);
  void HandleHandoverAck(StreamId stream, const MemberId& heir, const v1::HandoverAck& ack,
                         absl::Time now, Actions& actions);
  // An observer wants to take part; each chunk's headers say from when on. While the roster is full
  // it waits.
  void HandleActivate(const MemberId& member, const v1::Activate& activate, absl::Time now,
                      Actions& actions);
  // A newcomer asks for the replicated state: a member is asked to give it.
  void HandleStateRequest(const MemberId& newcomer, const v1::StateRequest& request, absl::Time now,
                          Actions& actions);
  // Returns as StateRelay::Relay.
  absl::Status HandleStatePart(const MemberId& donor, v1::StatePart part, std::string piece,
                               absl::Time now, Actions& actions);
  void HandleClosed(StreamId stream, const MemberId& member, Actions& actions);
  // Starts a run whose time has come, evicts members that are held for dead, if that is allowed
  // yet, and tells those who wait why.
  void HandleTick(absl::Time now, absl::Duration running_time, bool may_evict, Actions& actions);
  // The run is over here: lets go of those who have left and could not be told yet, and closes the
  // other streams with FAILED_PRECONDITION.
  void End(Actions& actions);
  // Ends the run: closes every stream with `status`.
  void Stop(const absl::Status& status, Actions& actions);

  // Nothing is left of the run: it was stopped, everybody has left, or it has not started and
  // nobody is here.
  bool over() const;
  // More than half of those who took part last have left: whoever has not was out of reach when the
  // run ended, and must not go on alone.
  bool left_by_most() const;
  // The highest dead incarnation of each worker that has one.
  const std::map<std::string, uint64_t>& fences() const { return fences_; }
  // The chains at the ends of the chunks' histories, by chunk; empty before they begin.
  std::map<uint32_t, uint64_t> Chains() const;
  // Somebody has a stream here.
  bool connected() const;
  // Every chunk stands at the same round, and nobody has contributed to it yet.
  bool between_rounds() const;
  // Between two rounds: gives the residuals into the custody of members, as far as that is not
  // done.
  void SecureResiduals(Actions& actions);
  // They are all in custody, or nobody is here who could hold one.
  bool secured() const;
  // Whether a contribution to this round would begin a round that is not under way yet.
  bool WouldBeginRound(uint64_t round) const;

  // When the next exchange closes without late members; infinite: none is about to.
  absl::Time next_deadline() const;
  // Exchanges that somebody has contributed to and that are not over.
  size_t exchanges_under_way() const;

  // The run has begun, and its history is here.
  bool formed() const { return formed_; }
  const JobDescription& description() const { return *description_; }
  uint64_t serial() const { return serial_; }
  uint64_t admitted_bytes() const { return admitted_bytes_; }
  // Why the run waits, for people; empty if it does not.
  std::string WaitReason(absl::Time now) const;
  v1::JobStatus Status(absl::Time now) const;
  // Who is connected, for the refusal of another run.
  std::vector<std::string> ConnectedWorkers() const;

 private:
  struct MemberState {
    uint64_t incarnation = 0;
    absl::optional<StreamId> stream;
    absl::Time last_heard;
    // The same in running time.
    absl::Duration heard_at;
    // It has reported a stream to every aggregator.
    bool reaches_all = false;
    // Or that it was let go where it has none.
    bool reaches_or_left_all = false;
    // Its Hello told of entries.
    bool holds_history = false;
    // Dead; it stands here until no roster has it.
    bool evicted = false;
    // All results of rounds before this one have been seen to be there.
    uint64_t open_round = 0;
    bool left = false;
    // It said so when it came.
    bool came_to_leave = false;
    // Of an observer: it has the whole state, and has asked to be taken in.
    bool is_level = false;
    // Since when others wait for its contribution, in running time.
    absl::optional<absl::Duration> awaited_since;
    // The first round that it takes no part in; meaningful only if it has left.
    uint64_t gone_from = 0;
    // Until then, in running time, a member that has left stays to hand its residual over.
    absl::Duration stays_until;
    // By chunk, who inherits, as headers have said; without payload.
    std::map<uint32_t, v1::Handover> heirs;
    // The last round here in which it told that it was late; unset: never.
    absl::optional<uint64_t> late_in;
  };
  // offered = counted + late + abstained + refused + pending.
  struct Counters {
    uint64_t offered = 0;
    uint64_t counted = 0;
    uint64_t late = 0;
    uint64_t abstained = 0;
    uint64_t refused = 0;
  };

  void TryStart(absl::Time now, Actions& actions);
  // Asks for saved residuals, as far as that is not done; whether all are here.
  bool FetchSavedResiduals(Actions& actions);
  // Begins the chunk's history.
  void Form(ChunkRound& chunk, const Roster& roster, absl::Time now, Actions& actions);
  // Whether the worker has to watch before it may take part.
  bool MustObserve(const MemberId& member, const v1::Hello& hello) const;
  // The latest that has said Hello; 0: none has.
  uint64_t IncarnationHere(const std::string& worker) const;
  // Evicts earlier incarnations of workers whose later ones are here.
  void EvictReplaced(absl::Time now, Actions& actions);
  // Headers have made members of observers, and observers of members.
  void MoveMembers(const ChunkRound::Published& published);
  bool InSomeRoster(const MemberId& member) const;
  // Sends those away who were here while the run was read back and whose heads do not lead on to
  // what was read.
  void CloseLost(const JobRecovery& recovery, Actions& actions);
  // An observer may have a result that nobody else has read, and that a crash undid; or it was away
  // for too long.
  static absl::Status LostTrackError(uint32_t chunk, const v1::Entry& head);
  // Ends an observer's part, if it has one: whether it asked to be taken in or not.
  void DropObserver(const std::string& worker, const absl::Status& status, Actions& actions);
  // May be asked for the replicated state.
  bool GivesState(const MemberState& state) const;
  void SendNoState(const StateRelay::Orphan& orphan, Actions& actions) const;
  // Tells newcomers whose donors give nothing any more.
  void SweepRelay(Actions& actions);
  // Returns members to observer that were taken in and never contribute.
  void ReturnIdleMembers(absl::Time now, Actions& actions);
  // A contribution has come: when does the exchange close without those who are late?
  void NoteArrival(ChunkRound& chunk, absl::Time now);
  // How long members are usually behind the first one.
  absl::Duration Patience() const;
  void CloseOverdue(absl::Time now, Actions& actions);
  void Hear(const MemberId& member, uint64_t open_round, absl::Time now);
  // Notes who keeps others waiting.
  void NoteAwaited();
  void EvictSilentMembers(absl::Time now, Actions& actions);
  // Of workers that are in no roster any more a recovery waits no longer than that.
  void GiveUpAbsent(absl::Duration evict_after, absl::Time now, Actions& actions);
  // Ends the waiting of a recovery for workers that are dead.
  void EvictMissing(absl::Time now, Actions& actions);
  // From here on that incarnation is dead. `why` completes "worker `w-5` was evicted: ".
  void Evict(const std::string& worker, const std::string& why, absl::Time now, Actions& actions);
  // Others know that these, and earlier incarnations, are dead.
  void LearnFences(const google::protobuf::RepeatedPtrField<v1::Member>& fences, absl::Time now,
                   Actions& actions);
  // Forgets the evicted, and those who left, that stand in no roster any more.
  void ForgetGone();
  // Some members go on.
  bool somebody_stays() const;
  bool IsNeeded(const MemberState& leaver) const;
  // A header has named heirs.
  void NoteHeirs(const ChunkRound::Published& published);
  // Tells a leaver whose stream broke who they are: the others may be further than it can follow.
  void SendHeirs(const MemberId& leaver, Actions& actions) const;
  // An heir has another stream: its leavers give again what it may not have got.
  void RemindLeavers(const std::string& heir, Actions& actions) const;
  // Where the heir of that name is now, if it is here.
  absl::optional<StreamId> StreamOfHeir(const std::string& worker) const;
  // Lets go of members that have left and are not needed any more.
  void ReleaseLeavers(Actions& actions);
  // Those who are here hold nothing; the next one does.
  void BeginRecovery();
  // Goes on with the recovery, as far as that needs nobody.
  void Recover(absl::Time now, Actions& actions);
  void FinishRecovery(absl::Time now, Actions& actions);
  // Observers that were taken in by the last header before the restart are members.
  void PromoteObservers();
  // Closes the streams of workers that are in no chunk's roster.
  void CloseStrangers(Actions& actions);
  // Says how many residuals would not survive a crash, if that is news.
  void NoteUnprotected(const v1::Notice& notice, Actions& actions);
  // Says who has drifted away, if that is news.
  void NoteDrifted(const ChunkRound::Published& published, Actions& actions);
  void SendPublished(ChunkRound::Published published, absl::Time now, Actions& actions);
  void SendSnapshotTo(const ResidualCustody::Order& order, Actions& actions) const;
  // Members of the chunk's roster that are connected.
  std::vector<MemberId> ConnectedMembers(const ChunkRound& chunk) const;
  // Of a member or an observer.
  absl::optional<StreamId> StreamOf(const MemberId& worker) const;
  const MemberState* FindState(const MemberId& worker) const;
  MemberState* FindState(const MemberId& worker);
  // The results that the worker lacks, by what its Hello says of its heads.
  absl::StatusOr<std::vector<std::shared_ptr<const StoredResult>>> MissedResults(
      const v1::Hello& hello, bool observes) const;
  absl::Status CheckMayEnter(const MemberId& member, const v1::Hello& hello) const;
  // Tells an incarnation that comes too early the highest one. Who wants to begin the run must wait
  // while nobody who has it is here.
  absl::Status CheckMayObserve(StreamId stream, const MemberId& member, const v1::Hello& hello,
                               v1::Welcome welcome, Actions& actions) const;
  // Tells an incarnation that is over so, because it is dead or has lost track, what is counted of
  // it, and what has become of the heads that its Hello claims.
  void SendFenced(StreamId stream, const MemberId& member, const v1::Hello& hello,
                  v1::Welcome welcome, Actions& actions) const;
  // That incarnation is over, and in no roster that headers would take it out of.
  void FenceStranger(const MemberId& member);
  // Ends the stream of one that must come anew, and tells it what is counted of it.
  void SendAway(const MemberId& member, MemberState& state, const v1::Hello& claims,
                const absl::Status& why, Actions& actions);
  void CloseMember(MemberState& member, const absl::Status& status, Actions& actions);
  absl::Status CheckWindow(uint32_t chunk, uint64_t round) const;
  void SealIfReady(ChunkRound& chunk, absl::Time now, Actions& actions);
  void Seal(ChunkRound& chunk, absl::Time now, Actions& actions);
  void Broadcast(std::shared_ptr<const StoredResult> result, Actions& actions) const;
  void AdvanceFrontier(absl::Time now);
  ChunkRound& Find(uint32_t chunk) { return chunks_[chunk / description_->aggregators.size()]; }
  std::string RecoveryReason(absl::Time now) const;
  std::string DescribeMissing(const ChunkRound& chunk, absl::Time now) const;

  const uint64_t serial_;
  const std::shared_ptr<const JobDescription> description_;
  const uint32_t window_chunks_;
  const EvictionRule eviction_;
  const uint64_t admitted_bytes_;
  const absl::Time created_at_;

  // RUNNING, if there is no recovery.
  bool formed_ = false;
  absl::optional<JobRecovery> recovery_;
  // Until the run has formed: what it begins with.
  SavedResiduals saved_;
  bool stopped_ = false;
  std::map<std::string, MemberState> members_;
  // Those who receive results and stand in no roster. A worker may be here with a later incarnation
  // than in members_, which is dead then.
  std::map<std::string, MemberState> observers_;
  StateRelay relay_;
  HandoverRelay handovers_;
  // Of rounds here: what a newcomer's first contribution is measured by.
  RecentDurations round_times_{32};
  // From an exchange's first contribution to each of the others, late ones included; and the wait
  // of the last exchange that closed without some.
  RecentDurations arrival_delays_{256};
  absl::Duration last_wait_;
  absl::Time round_began_;
  // The highest dead incarnation by worker; these only grow.
  std::map<std::string, uint64_t> fences_;
  absl::Duration running_time_;
  const absl::Duration created_running_;
  // This aggregator's chunks, ascending.
  std::vector<ChunkRound> chunks_;
  // The lowest round that some chunk has not finished, and the first such chunk (an index into
  // chunks_).
  uint64_t frontier_round_ = 0;
  size_t frontier_index_ = 0;
  Counters counters_;
  // Whose replicated state was another than that of most, at the last comparison.
  std::vector<std::string> drifted_;
  size_t num_unprotected_ = 0;
  absl::Time last_notice_;
};

// Whether the worker says that it holds an entry of some chunk.
bool HoldsHistory(const v1::Hello& hello);

// Why nobody can watch a run that only its members can bring here.
absl::Status NotHereYetError(const JobDescription& description);

// Whether the worker says that it is a member, even if one that is leaving.
bool ClaimsMembership(const v1::Hello& hello);

}  // namespace tally

#endif  // TALLY_AGGREGATOR_JOB_H_
