// A worker's end of one chunk's history.
#ifndef TALLY_CLIENT_CHUNK_HISTORY_H_
#define TALLY_CLIENT_CHUNK_HISTORY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "codecs/checked_result.h"
#include "codecs/place.h"
#include "codecs/roster.h"
#include "proto/tally/v1/exchange.pb.h"

namespace tally {

// What every first entry of the run must say.
struct RunIdentity {
  uint64_t run = 0;
  uint64_t first_round = 0;
  v1::Genesis genesis;
  // This worker.
  MemberId member;
  // It need not be among those who begin the run.
  bool watches = false;
};

// Where a worker stands in a chunk's history: the last entry it has applied, the chain up to it and
// the roster that follows it. Moves only on headers that continue exactly this history. Not
// thread-safe.
class ChunkHistory {
 public:
  // What an entry meant to this worker.
  struct Applied {
    // It had been applied before: nothing has changed.
    bool duplicate = false;
    // It names this worker and incarnation among the participants.
    bool counted = false;
    uint32_t num_participants = 0;
    // The worker is in the roster of the next exchange.
    bool member = false;
  };

  // `identity` outlives this.
  ChunkHistory(uint32_t chunk, const RunIdentity* identity) : chunk_(chunk), identity_(identity) {}

  // Applies the next entry.
  // Returns DATA_LOSS, naming chunk, round and both chains, if the entry does not follow the last
  // one: another previous chain, another entry in the same place, or one from the future; likewise
  // if a genesis is not this run's, the roster does not follow, or values are not those of the
  // elements that the first half chose. Returns FAILED_PRECONDITION if
  // the run has begun without this worker. On error nothing has changed.
  absl::StatusOr<Applied> Apply(const CheckedResult& result);

  // Goes on from the end of a round that others have reached: `place` is its last entry, `chain`
  // the digest up to it, `roster` the next exchange's. Only before anything is applied.
  void BeginAfter(const Place& place, uint64_t chain, Roster roster);

  // True once the genesis is applied, or the history begun elsewhere.
  bool begun() const { return begun_; }
  // True if `round` (first_round or later) is over: its result, of a sketch round that of its last
  // half, is applied.
  bool IsOver(uint64_t round) const { return begun_ && IndexOf(next_) > IndexOf({round, 1}); }
  // True if the result of that exchange is applied.
  bool HasResult(const Place& place) const { return begun_ && IndexOf(next_) > IndexOf(place); }
  // The result would be next, but follows another entry than this history's last one.
  bool IsOfAnotherHistory(const CheckedResult& result) const;
  // The rest only once begun.

  // Where the next entry stands.
  const Place& next() const { return next_; }
  uint64_t chain() const { return chain_; }
  const Roster& roster() const { return roster_; }
  v1::Entry Head() const;

 private:
  uint64_t IndexOf(const Place& place) const { return PlaceIndex(place, identity_->first_round); }

  absl::Status CheckPlace(const CheckedResult& result) const;
  absl::Status CheckGenesis(const v1::ResultHeader& header) const;
  // Whether the values of a second half answer the head of this history.
  absl::Status CheckAnswers(const CheckedResult& result) const;
  absl::Status Contradiction(const v1::ResultHeader& header, absl::string_view what) const;

  const uint32_t chunk_;
  const RunIdentity* const identity_;
  bool begun_ = false;
  Place head_;
  Place next_;
  uint64_t chain_ = 0;
  Roster roster_;
  // What the head chose, if a second half is next.
  uint64_t candidates_digest_ = 0;
  uint32_t num_candidates_ = 0;
};

}  // namespace tally

#endif  // TALLY_CLIENT_CHUNK_HISTORY_H_
