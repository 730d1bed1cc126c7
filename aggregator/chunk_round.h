// The exchanges of one chunk, one after the other: the heart of the aggregator, as a pure state
// machine.
#ifndef TALLY_AGGREGATOR_CHUNK_ROUND_H_
#define TALLY_AGGREGATOR_CHUNK_ROUND_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/variant.h"
#include "aggregator/chunk_history.h"
#include "aggregator/contribution_reader.h"
#include "aggregator/exchange_task.h"
#include "aggregator/job_description.h"
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
  using Verdict = absl::variant<Staged, Answered>;

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
    std::shared_ptr<const StoredResult> no_change;
  };

  ChunkRound(uint64_t job_serial, uint32_t chunk, std::shared_ptr<const JobDescription> description)
      : job_serial_(job_serial), chunk_(chunk), description_(std::move(description)) {}

  // Starts the history with this roster. FORMING only.
  std::shared_ptr<const StoredResult> Form(const Roster& roster, absl::Time now);

  // Takes a contribution of a member.
  // Returns FAILED_PRECONDITION if the chunk is forming, the exchange is not open yet, the member
  // is not in the roster or prev_chain is not the head of this history; INVALID_ARGUMENT if values
  // do not answer the first half; ALREADY_EXISTS if the member has contributed other bytes to this
  // exchange; NOT_FOUND if the exchange is over and its result no longer kept.
  absl::StatusOr<Verdict> Stage(const MemberId& member, StagedContribution contribution,
                                absl::Time now);

  // OPEN, and every member of the roster has contributed or abstained.
  bool ready() const;

  // Closes the open exchange. Only if ready().
  // Returns FAILED_PRECONDITION, with all descriptors and who sent them, if no exchange has more
  // than half of the contributions: the job cannot go on.
  absl::StatusOr<Sealing> Seal(absl::Time now);

  // Puts the outcome of the sealed exchange into the history and opens the next one. SEALED only.
  std::shared_ptr<const StoredResult> Publish(const ExchangeOutcome& outcome, absl::Time now);

  uint32_t chunk() const { return chunk_; }
  Phase phase() const { return phase_; }
  // The exchange that is open or sealed.
  const Place& place() const { return place_; }
  const ChunkHistory& history() const { return history_; }
  size_t num_arrived() const { return num_arrived_; }
  // The round has begun and is not over.
  bool under_way() const { return phase_ == Phase::kSealed || num_arrived_ > 0 || place_.half > 0; }
  // Members that have not contributed to the open exchange; their order is the roster's.
  std::vector<MemberId> missing() const;
  // When the open exchange opened.
  absl::Time opened_at() const { return opened_at_; }

 private:
  std::shared_ptr<const StoredResult> Append(v1::ResultHeader header, SharedBuffer payload,
                                             absl::Time now);
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
  ChunkHistory history_;
  // [roster size] what has arrived for the open exchange.
  std::vector<absl::optional<StagedContribution>> staged_;
  size_t num_arrived_ = 0;
  absl::Time opened_at_;
  absl::Time first_arrival_at_;
  absl::Time sealed_at_;
  // Header of the exchange that was sealed last.
  v1::ResultHeader sealed_header_;
  // What the mean left over; allocated at the first exchange that keeps a residual.
  std::shared_ptr<std::vector<float>> residual_;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_CHUNK_ROUND_H_
