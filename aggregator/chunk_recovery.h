// How one chunk's history is read back from the workers.
#ifndef TALLY_AGGREGATOR_CHUNK_RECOVERY_H_
#define TALLY_AGGREGATOR_CHUNK_RECOVERY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "aggregator/exchange_task.h"
#include "aggregator/job_description.h"
#include "aggregator/replay_reader.h"
#include "aggregator/residual.h"
#include "aggregator/residual_custody.h"
#include "codecs/place.h"
#include "codecs/roster.h"
#include "proto/tally/v1/membership.pb.h"

namespace tally {

// What a worker's Hello says that it holds of a chunk.
struct ChunkClaim {
  absl::optional<v1::Entry> head;
  v1::ChunkProgress progress;
  // Rosters that follow entries it holds, by epoch; the head's is among them.
  std::map<uint64_t, Roster> rosters;
};

// A chunk after a crash of its aggregator, as a pure state machine:
//
//   GATHERING --everybody in the roster of the newest head is here--> READING --> FOLDING --> DONE
//       ^------------------------- a member goes away ------------------'------------'
//
// READING fetches the results that members lack and, where there is a residual, the newest snapshot
// and the headers after it. FOLDING replays, entry by entry, the contributions that these headers
// count, and compares every payload with its header. If a piece is missing, those who have left
// lately are waited for. If nobody can have it, or a payload differs, the residual is rebased: it
// becomes zero, and the next header will say so.
//
// Not thread-safe.
class ChunkRecovery {
 public:
  enum class Phase : uint8_t { kGathering, kReading, kFolding, kDone };

  struct Ask {
    MemberId member;
    v1::Need need;
  };
  struct Work {
    std::vector<Ask> asks;
    // Its outcome goes to TakeOutcome.
    absl::optional<ExchangeTask> task;
  };
  struct Recovered {
    // The newest entries that somebody lacks, ascending; the last one is the head.
    std::vector<CheckedResult> results;
    // Who takes part in the next exchange.
    Roster roster;
    // [num_elements]; null: zero, and never used.
    std::shared_ptr<Residual> residual;
    // It was lost.
    bool rebased = false;
    // Its last known norm, then.
    double lost_norm = 0;
    ResidualFloor floor;
    // What the entries that were read back count last of each worker: incarnation and place.
    std::map<std::string, std::pair<uint64_t, Place>> last_counted;
  };

  ChunkRecovery(uint64_t job_serial, uint32_t chunk,
                std::shared_ptr<const JobDescription> description)
      : job_serial_(job_serial), chunk_(chunk), description_(std::move(description)) {}

  // The member is here, and this is what it holds. Replaces what it held before.
  void SetClaim(const MemberId& member, ChunkClaim claim);
  // The member is gone; what it has been asked for will not come.
  void Withdraw(const MemberId& member);

  // The member is dead: it is not waited for, and what only it holds is lost.
  void Evict(const MemberId& member);

  // Takes what a member was asked for.
  // Returns FAILED_PRECONDITION if it was not asked for this, or the piece is of another history;
  // INVALID_ARGUMENT if a value of a snapshot is not finite.
  absl::Status Take(const MemberId& member, Replayed piece);
  // Takes the outcome of the task that was given out last.
  void TakeOutcome(const ExchangeOutcome& outcome);

  // What is to be done next; `may_fold` is false while other chunks' contributions fill the memory.
  Work Proceed(bool may_fold);

  uint32_t chunk() const { return chunk_; }
  Phase phase() const { return phase_; }
  // A task is out, if only one whose outcome nobody needs any more.
  bool awaits_outcome() const { return computing_ || stale_outcomes_ > 0; }
  // Members of the newest head's roster that are not here; and those that were members lately, are
  // observers or leavers now, and alone may hold what is missing. Empty also if nobody holds
  // anything.
  std::vector<MemberId> missing() const;
  // Those of them that are in the roster.
  std::vector<MemberId> missing_members() const;
  // Somebody holds an entry of this chunk.
  bool has_history() const { return newest_ != nullptr; }
  const absl::optional<Roster>& roster() const { return roster_; }
  // Where the member stood when it came; unset: it held nothing.
  absl::optional<v1::Entry> HeadOf(const MemberId& member) const;
  // Only once kDone.
  Recovered TakeRecovered();

 private:
  uint64_t IndexOf(const Place& place) const {
    return PlaceIndex(place, description_->first_round);
  }
  uint64_t IndexOf(const v1::Entry& entry) const {
    return IndexOf(Place{entry.round(), entry.half()});
  }
  v1::Need NeedOf(v1::Need::Kind kind, uint64_t first_round, uint64_t last_round) const;
  // Rounds are compared modulo 2^64: a genesis stands at the first round minus one.
  static bool Covers(bool is_set, const v1::RoundRange& range, uint64_t round);
  // A newcomer may stand at an entry of which it has the state alone.
  static bool HoldsHead(const ChunkClaim& claim);
  void Reset();
  void FindNewest();
  void StartReading(Work& work);
  // Asks for results or headers; what others send, or were asked for before, is not taken for them.
  struct Inquiry {
    MemberId member;
    uint64_t first_round = 0;
  };
  Inquiry Inquire(v1::Need::Kind kind, const MemberId& member, uint64_t first_round,
                  uint64_t last_round, Work& work) const;
  // Whether the entry at that place belongs to the answer, of which `list` has come so far; if the
  // answer begins with it the list begins anew.
  template <typename Entry>
  bool BelongsTo(const absl::optional<Inquiry>& inquiry, const MemberId& member, const Place& place,
                 std::vector<Entry>& list) const;
  // The newest snapshot that somebody here holds, or the newest entry after which it is zero.
  void ChooseSnapshot(Work& work);
  // The residual that the run began with, if somebody holds it who has not read the genesis yet.
  // Returns the holder; null: nobody.
  const MemberId* ChooseSaved();
  // No snapshot is here: asks for the oldest headers that somebody holds, for they tell who has
  // left.
  void AskWhoLeft(Work& work);
  // That of the entry which the snapshot follows.
  bool IsTheSnapshots(const ReplayedHeader& header) const;
  // Completes the headers by those of the results.
  void JoinHeaders();
  void StartFolding();
  // The headers of entries that lead on to the newest one.
  std::vector<const v1::ResultHeader*> KnownHeaders() const;
  // Who takes part after the first of them: a roster with its epoch from which they lead to that
  // after the newest entry. Of another history the number may be another roster's. Unset: nobody
  // here knows it.
  absl::optional<Roster> FirstRoster(const std::vector<const v1::ResultHeader*>& headers) const;
  std::map<std::string, std::pair<uint64_t, Place>> LastCounted() const;
  // Goes on until contributions or an outcome must be waited for.
  void Fold(Work& work);
  // A snapshot, or what the entry at fold_position_ counts, is with nobody here. Workers that were
  // returned to observer by that entry or a later one, or have left, may still live and hold it, or
  // a newer snapshot: they are waited for. If there are none the residual is lost.
  void WaitOrRebase();
  // Asks for what the entry at fold_position_ counts.
  void AskContributions(const v1::ResultHeader& header, Work& work);
  // Of that entry; unset if the contributions are not of its exchange.
  absl::optional<ExchangeTask> FoldTask(const v1::ResultHeader& header);
  void Rebase();
  absl::Status TakeResult(const MemberId& member, CheckedResult result);
  absl::Status TakeHeader(const MemberId& member, ReplayedHeader header);
  absl::Status TakeContribution(const MemberId& member, ReplayedContribution contribution);
  absl::Status TakeSnapshot(ResidualSnapshot snapshot);

  const uint64_t job_serial_;
  const uint32_t chunk_;
  const std::shared_ptr<const JobDescription> description_;

  Phase phase_ = Phase::kGathering;
  std::map<std::string, std::pair<MemberId, ChunkClaim>> claims_;  // by worker
  std::vector<MemberId> evicted_;
  // Of the claim with the newest head.
  const v1::Entry* newest_ = nullptr;
  absl::optional<Roster> roster_;

  // READING.
  absl::optional<Inquiry> results_inquiry_;
  absl::optional<Inquiry> headers_inquiry_;
  // The lowest head of those who are here, or the oldest that is held: results begin there.
  uint64_t lowest_head_ = 0;
  std::vector<CheckedResult> results_;
  bool results_complete_ = false;
  absl::optional<v1::SnapshotKey> snapshot_key_;
  // The snapshot is the residual that a saved run ended with, and this the entry that it followed
  // there; snapshot_key_ is then the genesis's, but for its chain, which only the header tells.
  absl::optional<v1::Entry> saved_head_;
  // From the snapshot's entry on; if none is here, all that are held. Nobody need hold all of them:
  // who was there at the snapshot may lack the newest ones, which came with results_.
  std::vector<ReplayedHeader> headers_;
  // Of the last one that its holder has.
  uint64_t last_held_chain_ = 0;
  bool held_headers_complete_ = false;
  bool headers_complete_ = false;
  std::shared_ptr<Residual> residual_;
  bool snapshot_complete_ = false;
  bool rebased_ = false;
  double known_norm_ = 0;

  // FOLDING.
  size_t fold_position_ = 0;
  Roster fold_roster_;
  // Observers and leavers that may hold what is missing, and are not here.
  std::vector<MemberId> absent_;
  bool asked_ = false;
  // [participants] of the entry at fold_position_, in roster order.
  std::vector<MemberId> fold_participants_;
  std::vector<absl::optional<StagedContribution>> fold_contributions_;
  bool computing_ = false;
  // Outcomes of tasks given out before the last Reset.
  int stale_outcomes_ = 0;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_CHUNK_RECOVERY_H_
