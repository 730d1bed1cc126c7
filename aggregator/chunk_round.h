// The exchanges of one chunk, one after the other: the heart of the aggregator, as a pure state
// machine.
#ifndef TALLY_AGGREGATOR_CHUNK_ROUND_H_
#define TALLY_AGGREGATOR_CHUNK_ROUND_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "absl/types/variant.h"
#include "aggregator/admission.h"
#include "aggregator/chunk_log.h"
#include "aggregator/chunk_recovery.h"
#include "aggregator/contribution_reader.h"
#include "aggregator/exchange_task.h"
#include "aggregator/job_description.h"
#include "aggregator/residual.h"
#include "aggregator/residual_custody.h"
#include "aggregator/saved_residuals.h"
#include "codecs/exchange.h"
#include "codecs/place.h"
#include "codecs/roster.h"

namespace tally {

// One chunk of one job:
//
//   FORMING --Form: genesis--> OPEN(first) --all are there: Seal--> SEALED(x) --Publish--> OPEN(x +
//   1) -- ...
//
// After the first half of a sketch round OPEN(x + 1) is its second half, which takes values of the
// elements that the first one chose.
//
// After a crash of the aggregator, Restore stands in for Form: OPEN(x), where x is next in the
// history that was read back.
//
// No clock, thread or socket: time comes in as an argument. Not thread-safe.
class ChunkRound {
 public:
  enum class Phase : uint8_t { kForming, kOpen, kSealed };

  // The contribution is kept, or was already.
  struct Staged {
    bool repeat = false;
  };
  // The exchange is over; here is its result again.
  struct Answered {
    std::shared_ptr<const StoredResult> result;
  };
  // The exchange has closed without this contribution; its result is on its way.
  struct Late {};
  using Verdict = absl::variant<Staged, Answered, Late>;

  // What publishing leads to.
  struct Published {
    std::shared_ptr<const StoredResult> result;
    // A snapshot of the residual for a member's custody.
    absl::optional<ResidualCustody::Order> snapshot;
    // Whom the header takes in, and whom it makes an observer again.
    std::vector<MemberId> activated;
    std::vector<MemberId> returned;
    // Whose leave it tells of, and who inherits.
    std::vector<v1::Departure> left;
    // Whose replicated state is another than that of most; unset if nobody has told of one.
    absl::optional<std::vector<std::string>> drifted;
  };

  // What sealing leads to.
  struct Sealing {
    // Members whose contribution was of another exchange than the majority's.
    struct Refused {
      MemberId member;
      absl::Status status;
    };
    std::vector<Refused> refused;
    // To be computed; Publish takes its outcome.
    absl::optional<ExchangeTask> task;
    // Without participants there is nothing to compute: the result at once.
    absl::optional<Published> no_change;
  };

  ChunkRound(uint64_t job_serial, uint32_t chunk, std::shared_ptr<const JobDescription> description)
      : job_serial_(job_serial),
        chunk_(chunk),
        description_(std::move(description)),
        history_(KeptResults(*description_)),
        custody_(chunk, description_->snapshot_interval) {}

  // Starts the history with this roster, and with what a run that it resumes has saved. FORMING
  // only.
  std::shared_ptr<const StoredResult> Form(const Roster& roster, SavedResidual saved,
                                           absl::Time now);

  // Goes on with a history that was read back. If its head announces a snapshot that nobody holds,
  // gives the order for it. FORMING only.
  absl::optional<ResidualCustody::Order> Restore(ChunkRecovery::Recovered recovered,
                                                 absl::Time now);

  // Takes a contribution of a member.
  // Returns FAILED_PRECONDITION if the chunk is forming, the exchange is not open yet, the member
  // is not in the roster or prev_chain is not the head of this history; INVALID_ARGUMENT if values
  // do not answer the first half; ALREADY_EXISTS if the member has contributed other bytes to this
  // exchange; NOT_FOUND if the exchange is over and its result no longer kept.
  absl::StatusOr<Verdict> Stage(const MemberId& member, StagedContribution contribution,
                                absl::Time now);

  // The member is dead: it is waited for no longer, and the next header that is not sealed yet says
  // so. What it has contributed counts. No effect if it is not in the roster.
  void Evict(const MemberId& member);
  // The member takes no part from that round on; the header of the first exchange without it says
  // so, and names who inherits if it hands something over. No effect if it is not in the roster.
  void Leave(const MemberId& member, uint64_t gone_from, bool hands_over);

  // The observer takes part from `first_round` on, or the first round after it that is not sealed
  // yet: a header says so. While the roster is full it waits. No effect if it is in the roster.
  void Activate(const MemberId& member, uint64_t first_round);
  // The observer does not come after all.
  void CancelActivation(const MemberId& member);
  // Returns to observer those who were taken in, have never contributed since, and have kept the
  // open exchange waiting for `grace`: the next header says so. Returns whether there are any.
  bool ReturnIdle(absl::Time now, absl::Duration grace);

  // OPEN, and every member of the roster has contributed or abstained, or has gone; some stay, or
  // somebody is about to come in their place.
  bool ready() const;

  // OPEN, some are missing, but enough are there for an exchange that may close without late
  // members: more than half, and all but max_late.
  bool has_quorum() const;
  // Somebody who is missing has missed so many exchanges running that this one is the last that
  // waits for it.
  bool awaits_last_chance() const;
  // The open exchange waits for late members no longer than that. Only if has_quorum().
  void CloseAt(absl::Time deadline) { closes_at_ = deadline; }
  // Infinite: it waits for everybody.
  absl::Time closes_at() const { return closes_at_; }
  // It has waited long enough.
  bool overdue(absl::Time now) const { return now >= closes_at_ && has_quorum(); }

  // Closes the open exchange. Only if ready() or overdue(now).
  // Returns FAILED_PRECONDITION, with all descriptors and who sent them, if no exchange has more
  // than half of the contributions: the job cannot go on.
  absl::StatusOr<Sealing> Seal(absl::Time now);

  // Puts the outcome of the sealed exchange into the history and opens the next one. SEALED only.
  Published Publish(const ExchangeOutcome& outcome, absl::Time now);

  // The member holds the snapshot that it was sent: workers are told with the next result.
  void AcknowledgeSnapshot(const MemberId& member, const Place& place, uint64_t chain) {
    custody_.Acknowledge(member, place, chain);
  }

  // The residual as it is now is zero or in some worker's custody.
  bool secured() const;
  // Gives it to one of these, unless that is done or under way. OPEN only.
  absl::optional<ResidualCustody::Order> Secure(absl::Span<const MemberId> custodians);

  // The snapshot that this member is to hold and has not acknowledged.
  absl::optional<ResidualCustody::Order> SnapshotTo(const MemberId& member) const {
    return custody_.OrderTo(member);
  }

  uint32_t chunk() const { return chunk_; }
  Phase phase() const { return phase_; }
  // The exchange that is open or sealed.
  const Place& place() const { return place_; }
  const ChunkLog& history() const { return history_; }
  size_t num_arrived() const { return num_arrived_; }
  // The round has begun and is not over.
  bool under_way() const { return phase_ == Phase::kSealed || num_arrived_ > 0 || place_.half > 0; }
  // A crash now would need what workers have of earlier rounds: contributions to them, or a
  // snapshot of the residual.
  bool needs_rounds_before(uint64_t round) const;
  // The residual would not survive a crash now.
  bool unprotected() const { return residual_ != nullptr && custody_.unprotected(); }
  // Members that have neither contributed to the open exchange nor gone; their order is the
  // roster's.
  std::vector<MemberId> missing() const;
  // The last exchange that counts a contribution of the member, or will when it is sealed; the
  // round before the first one: none does. Unset: this aggregator has not seen all of its rounds.
  absl::optional<Place> LastCounted(const MemberId& member) const;
  // When the open exchange opened, and when the first contribution to it came.
  absl::Time opened_at() const { return opened_at_; }
  absl::Time first_arrival_at() const { return first_arrival_at_; }

 private:
  enum class Cause : uint8_t { kEvicted, kLeft, kReturned };
  struct Departure {
    MemberId member;
    Cause cause = Cause::kEvicted;
    // Of a member that leaves: the first round without it.
    uint64_t gone_from = 0;
    bool hands_over = false;
  };
  struct Arrival {
    MemberId member;
    uint64_t first_round = 0;
  };

  // What messages begin with: "chunk 3, round 812: ".
  std::string Prefix(const Place& place) const;
  // The departure of the member at this position, if it has gone before the open exchange.
  const Departure* GoneAt(size_t position) const;
  // Names come and go without end; what is counted of those who went is kept for a while.
  void ForgetLongGone();
  // Counts what late members miss; who has missed too much goes.
  void NoteLate();
  // Members whose replica digest is not the majority's.
  absl::optional<std::vector<std::string>> FindDrifted() const;
  // Names those who have gone in the header that is being sealed.
  void NameDepartures(const std::vector<bool>& stays);
  // Who gets what a leaver has not got across: one of those who stay and have not announced their
  // own leave; empty: there is none.
  std::string HeirOf(const MemberId& leaver, const std::vector<bool>& stays) const;
  // Names those who come with the round after the one that is being sealed.
  void NameArrivals(const std::vector<bool>& stays);
  // Who tracks the mean over the roster must start anew: the roster changes with the header that is
  // being sealed, or the residual was lost.
  bool NeedsTrackingRebase() const;
  // After the exchange that is being sealed.
  bool RosterChanges() const;
  Published Append(v1::ResultHeader header, SharedBuffer payload, absl::Time now);
  // What the head announces, taken anew.
  absl::optional<ResidualCustody::Order> AnnouncedSnapshot();
  // Gives a copy of the residual, which stands still, as the snapshot of the head; unset if a
  // device holds it and does not give it back.
  absl::optional<ResidualCustody::Order> GiveAsItIs(const Place& place,
                                                    absl::Span<const MemberId> custodians);
  // Whom a snapshot may be given to: participants who stay.
  absl::optional<ResidualCustody::Order> GiveIntoCustody(const StoredResult& result,
                                                         const ExchangeOutcome& outcome);
  void Open(const Place& place, absl::Time now);
  // Whether the exchange answers the first half that is the head of this history.
  absl::Status CheckAnswers(const Exchange& exchange) const;
  // The exchange that more than half of the contributions are of.
  absl::StatusOr<Exchange> MajorityExchange() const;

  const uint64_t job_serial_;
  const uint32_t chunk_;
  const std::shared_ptr<const JobDescription> description_;

  Phase phase_ = Phase::kForming;
  Place place_;
  ChunkLog history_;
  // [roster size] what has arrived for the open exchange.
  std::vector<absl::optional<StagedContribution>> staged_;
  size_t num_arrived_ = 0;
  absl::Time opened_at_;
  absl::Time first_arrival_at_;
  absl::Time sealed_at_;
  // Members who go and stand in no header yet, by worker.
  std::map<std::string, Departure> departures_;
  // Observers who are to be taken in and stand in no header yet, by worker.
  std::map<std::string, Arrival> arrivals_;
  // Members that were taken in and have not contributed since.
  std::set<std::string> idle_;
  absl::Time closes_at_ = absl::InfiniteFuture();
  // By worker, the last exchange that counts its incarnation.
  std::map<std::string, std::pair<uint64_t, Place>> last_counted_;
  // Exchanges running that members have missed, by worker; and who misses the sealed one.
  std::map<std::string, int> misses_;
  std::vector<std::string> late_;
  absl::optional<std::vector<std::string>> drifted_;
  // Of the result before the open or sealed exchange; what a second half must answer.
  uint64_t head_digest_ = 0;
  // Header of the exchange that was sealed last, and who takes part in it and stays.
  v1::ResultHeader sealed_header_;
  std::vector<MemberId> sealed_participants_;
  // What the mean left over; null before the first exchange that keeps a residual.
  std::shared_ptr<Residual> residual_;
  ResidualCustody custody_;
  // Somebody has gone who may hold what a recovery would need: the next exchange that can is
  // followed by a snapshot.
  bool owes_snapshot_ = false;
  // The last exchange was divided by the roster, so workers track the mean over it.
  bool tracks_roster_ = false;
  // What workers track begins anew with the first exchange: the genesis says so.
  bool rebases_first_ = false;
  // The residual was lost with the last life of the aggregator: the next header says so, with its
  // last known norm.
  bool rebased_ = false;
  double lost_norm_ = 0;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_CHUNK_ROUND_H_
