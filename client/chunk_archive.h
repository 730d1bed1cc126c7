// What a worker keeps of one chunk's history for an aggregator that loses it.
#ifndef TALLY_CLIENT_CHUNK_ARCHIVE_H_
#define TALLY_CLIENT_CHUNK_ARCHIVE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "base/buffer.h"
#include "codecs/place.h"
#include "codecs/roster.h"
#include "proto/tally/v1/exchange.pb.h"
#include "proto/tally/v1/membership.pb.h"

namespace tally {

// Aggregators keep nothing durable: one that was killed reads its past from the workers. For that
// each worker keeps, per chunk,
// - the results of the last `kept_rounds` rounds, for members that lack them;
// - the headers after the floor, and with them its own contributions that they count, from which
//   the aggregator's residual is folded anew. The floor is the newest entry after which the
//   residual is safe: in the custody of a worker, or zero. At first it is the genesis;
// - snapshots of the residual that were given into its custody, until a newer one is the floor.
//
// Payloads are shared with whoever else holds them. Not thread-safe.
class ChunkArchive {
 public:
  // An entry of the history, as it came.
  struct Entry {
    Place place;
    uint64_t chain = 0;
    // A serialized v1::ResultHeader.
    std::string header;
    // Who takes part in the exchange after this entry.
    Roster roster;
    // False once the entry is too old; a result may have no payload.
    bool has_result = true;
    SharedBuffer result;
    // This worker's own, if the header counts it and the exchange leaves a residual.
    absl::optional<v1::Contribution> contribution;
    SharedBuffer contribution_payload;
  };
  // The residual after an entry, fp32, little-endian.
  struct Snapshot {
    Place place;
    uint64_t chain = 0;
    SharedBuffer payload;
    uint64_t payload_digest = 0;
  };

  // `snapshot_interval` is the job's: at most twice as many entries are kept after the floor.
  ChunkArchive(uint32_t snapshot_interval, int kept_rounds)
      : kept_rounds_(kept_rounds),
        // Results of those rounds of two halves each, and the entry before, are kept whatever the
        // interval.
        max_entries_(2 * size_t{snapshot_interval} + 2 * static_cast<size_t>(kept_rounds) + 1) {}

  // The worker comes into a history that goes on: of the residual before the first entry it knows
  // nothing. Before the first Append.
  void BeginWithoutFloor() { floor_is_zero_ = false; }

  // The worker has applied the next entry.
  void Append(Entry entry);

  // The aggregator says that the residual after that entry is safe: in custody or, if `is_zero`,
  // zero. What only older entries need is dropped. An entry that is not kept here changes nothing.
  void SetFloor(const Place& place, uint64_t chain, bool is_zero);

  // Takes a snapshot into custody. Returns false, and keeps nothing, if the entry that it follows
  // is not kept here.
  bool KeepSnapshot(Snapshot snapshot);

  // Ascending.
  const std::deque<Entry>& entries() const { return entries_; }
  const std::vector<Snapshot>& snapshots() const { return snapshots_; }

  // What a Hello says of the chunk beside its number and head.
  void Describe(v1::ChunkProgress& progress) const;
  // What came before that entry; null if either is not kept.
  const Entry* EntryBefore(const Place& place) const;
  // The rosters after the kept entries, each once, ascending by epoch.
  std::vector<Roster> Rosters() const;

  // Entries after the floor were dropped, because no snapshot counted for too long: the residual
  // could not be folded anew.
  bool unprotected() const { return unprotected_; }

 private:
  // Position in entries_ of that entry, if it is kept.
  absl::optional<size_t> PositionOf(const Place& place) const;
  // Drops what neither the floor nor a kept result needs any more.
  void DropOld();

  const int kept_rounds_;
  const size_t max_entries_;
  // The floor and what follows it; before it, entries whose results are kept. Ascending.
  std::deque<Entry> entries_;
  size_t floor_ = 0;
  bool floor_is_zero_ = true;
  bool unprotected_ = false;
  // Of kept entries, ascending.
  std::vector<Snapshot> snapshots_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_CHUNK_ARCHIVE_H_
