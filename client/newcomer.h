// How a worker comes into a run that goes on.
#ifndef TALLY_CLIENT_NEWCOMER_H_
#define TALLY_CLIENT_NEWCOMER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/buffer.h"
#include "codecs/checked_result.h"
#include "codecs/place.h"
#include "codecs/roster.h"
#include "codecs/slices.h"
#include "proto/tally/v1/exchange.pb.h"
#include "proto/tally/v1/recovery.pb.h"

namespace tally {

// What a newcomer starts from: the replicated state at the end of one round.
struct SharedState {
  // Where a chunk stands there.
  struct ChunkEnd {
    Place place;
    uint64_t chain = 0;
    Roster roster;
  };
  uint64_t round = 0;
  std::vector<ChunkEnd> chunks;
  uint64_t initial_state_digest = 0;
  // In the trainer's own format.
  SharedBuffer bytes;
};

// First it watches: from some moment on it has every result of every chunk. Only then it asks for
// the state, at a round from which these results lead on without a gap. One donor gives it; if that
// donor goes or has nothing to give, another one, from the start.
//
//   Watch (all chunks) --> NextAsk --> Take, NextAsk, Take ... --> complete()
//        ^-- Unwatch --'        ^-- nothing given, too long silent --'
//
// Pure state machine: events in, no sockets or clocks. Not thread-safe.
class Newcomer {
 public:
  // To be sent to that aggregator.
  struct Ask {
    size_t aggregator = 0;
    v1::StateRequest request;
  };

  // `patience`: the longest time without a part of the state before another donor is asked.
  Newcomer(MemberId self, size_t num_chunks, size_t num_aggregators, uint64_t max_state_bytes,
           absl::Duration patience);

  // Every result of the chunk after `head` comes from now on; unset: every one that there will be.
  void Watch(uint32_t chunk, const absl::optional<v1::Entry>& head);
  // Results may be missed from now on.
  void Unwatch(uint32_t chunk, absl::Time now);
  // Keeps a result of a watched chunk; of others nothing.
  void Store(CheckedResult result);

  // The request that is due, if one is.
  absl::optional<Ask> NextAsk(absl::Time now);
  // The request could not be sent: its aggregator cannot be reached.
  void AskFailed(absl::Time now) { Decline(now); }
  // When NextAsk has to be called without a further event; infinitely late: not at all.
  absl::Time next_ask_at() const;

  // A part of the state, or word that this donor gives nothing. Parts of earlier requests are
  // passed over.
  // Returns DATA_LOSS, naming the field, if it breaks a rule of proto/tally/v1/recovery.proto.
  absl::Status Take(const v1::StatePart& part, absl::string_view piece, absl::Time now);

  // The state is there. Only then:
  bool complete() const { return complete_; }
  SharedState TakeState() { return std::move(state_); }
  // The results after the state, in the order in which each chunk's came.
  std::vector<CheckedResult> TakeResults();

  // Why it is not complete, for people.
  std::string Reason() const;

 private:
  struct Chunk {
    bool watched = false;
    // The lowest round that the stored results lead on to, once it is known.
    absl::optional<uint64_t> min_next;
    std::vector<CheckedResult> results;
  };

  // All chunks are watched, from known places on.
  bool watches_all() const;
  uint64_t min_next() const;
  void GiveUp(absl::Time retry_at);
  // This attempt leads to nothing; another one follows after a pause.
  void Decline(absl::Time now);
  absl::Status Begin(const v1::StatePart& part, absl::string_view piece);

  const MemberId self_;
  const size_t num_aggregators_;
  const uint64_t max_state_bytes_;
  const absl::Duration patience_;
  std::vector<Chunk> chunks_;

  uint64_t num_attempts_ = 0;
  // Of the attempt under way; 0: none is.
  uint64_t id_ = 0;
  bool ask_is_due_ = false;
  absl::Time retry_at_ = absl::InfinitePast();
  absl::Time heard_at_ = absl::InfinitePast();
  absl::Duration pause_ = absl::ZeroDuration();
  std::string last_donor_;
  uint64_t payload_digest_ = 0;
  uint64_t received_bytes_ = 0;
  uint64_t told_bytes_ = 0;
  uint64_t total_bytes_ = 0;
  SliceAssembler assembler_;
  SharedState state_;
  bool complete_ = false;
};

}  // namespace tally

#endif  // TALLY_CLIENT_NEWCOMER_H_
