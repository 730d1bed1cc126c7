// The log of one chunk: chained headers, the roster they lead to, and the newest results.
#ifndef TALLY_AGGREGATOR_CHUNK_LOG_H_
#define TALLY_AGGREGATOR_CHUNK_LOG_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/types/optional.h"
#include "base/buffer.h"
#include "codecs/checked_result.h"
#include "codecs/place.h"
#include "codecs/roster.h"
#include "proto/tally/v1/exchange.pb.h"

namespace tally {

// An entry as it goes to the workers. The same object, and the same bytes, for all of them.
struct StoredResult {
  Place place;
  uint64_t chain = 0;
  // All fields but the slice, which the transport fills in.
  v1::Result message;
  // Null if the entry has none (a genesis, or an exchange without participants).
  SharedBuffer payload;
};

// Append-only. Not thread-safe.
class ChunkLog {
 public:
  // Keeps the last `kept_results` results whole.
  explicit ChunkLog(size_t kept_results) : kept_results_(kept_results) {}

  // Extends the chain by `header`, whose `prev_chain`, `epoch` and `roster` are filled in here:
  // `header` brings the events, and in a genesis the roster. Returns the entry. If the residual is
  // zero after it, it is the floor that the advice tells.
  std::shared_ptr<const StoredResult> Append(v1::ResultHeader header, SharedBuffer payload,
                                             v1::Advice advice, bool residual_is_zero);

  // Continues a history that was read back: these are its newest entries, ascending, and what
  // follows is this roster's. Only if nothing is appended yet.
  void Restore(std::vector<CheckedResult> entries, const Roster& roster);

  // The newest entry, and the number of the roster that follows it. Only after the genesis.
  v1::Entry Head() const;
  // Digest up to the newest entry; 0 before the genesis.
  uint64_t chain() const { return chain_; }
  // Of the next exchange.
  const Roster& roster() const { return roster_; }

  // The result of that exchange, if it is still kept. Null otherwise.
  std::shared_ptr<const StoredResult> FindResult(const Place& place) const;
  // The kept results after that entry, ascending; after none: all that are kept.
  std::vector<std::shared_ptr<const StoredResult>> ResultsAfter(
      const absl::optional<v1::Entry>& entry) const;
  // Whether the entry of that exchange is ours and has that chain; false also if it is forgotten.
  bool Contains(const Place& place, uint64_t chain) const;
  // Round, half and chain of the entry at that place of the run, which begins with `first_round`,
  // or of the newest one if the history does not reach so far. Unset: it is forgotten.
  absl::optional<v1::Entry> EntryAt(const Place& place, uint64_t first_round) const;
  // Whether the entry is ours and all results after it are kept.
  bool LeadsOnFrom(const v1::Entry& entry) const;
  // The newest entry. Null before the genesis.
  std::shared_ptr<const StoredResult> newest() const {
    return results_.empty() ? nullptr : results_.back();
  }

 private:
  struct PastHeader {
    Place place;
    uint64_t chain;
  };

  void Keep(std::shared_ptr<const StoredResult> result);

  const size_t kept_results_;
  uint64_t chain_ = 0;
  Roster roster_;
  std::deque<std::shared_ptr<const StoredResult>> results_;  // the last kept_results_
  std::deque<PastHeader> headers_;                           // the last kKeptHeaders
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_CHUNK_LOG_H_
