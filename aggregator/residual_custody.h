// Who holds the snapshots of one chunk's residual.
#ifndef TALLY_AGGREGATOR_RESIDUAL_CUSTODY_H_
#define TALLY_AGGREGATOR_RESIDUAL_CUSTODY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "aggregator/residual.h"
#include "base/buffer.h"
#include "codecs/place.h"
#include "codecs/roster.h"

namespace tally {

// The residual after an entry; the payload is [num_elements of the chunk] fp32, little-endian.
struct ResidualSnapshot {
  uint32_t chunk = 0;
  Place place;
  uint64_t chain = 0;
  SharedBuffer payload;
  uint64_t payload_digest = 0;
};

// Copies `residual`, as it is after that entry.
std::shared_ptr<const ResidualSnapshot> TakeResidualSnapshot(uint32_t chunk, const Place& place,
                                                             uint64_t chain,
                                                             absl::Span<const float> residual);

// The residual that a worker has given back.
// Returns INVALID_ARGUMENT, naming chunk, element, value and rule, if a value is not finite.
absl::StatusOr<std::shared_ptr<Residual>> ResidualOf(const ResidualSnapshot& snapshot);

// The newest entry after which the residual is safe.
struct ResidualFloor {
  Place place;
  uint64_t chain = 0;
  uint64_t epoch = 0;
  // Nobody need hold it.
  bool is_zero = false;
};

// The residual is a fold over the chunk's history. So that it can be folded anew after a crash, a
// snapshot goes to a worker now and then: with every interval-th round (staggered over chunks) and
// with every entry that names a departure. It counts when its custodian has acknowledged it; what
// workers keep of the time before can then go. A custodian that stays silent for a quarter of an
// interval is replaced by the next one.
//
//   Due? --> Begin --order--> custodian --Acknowledge--> floor()
//               '-- AfterResult, AfterResult... --order--> next custodian
//
// Pure state machine. Not thread-safe.
class ResidualCustody {
 public:
  // A snapshot on its way to a custodian.
  struct Order {
    MemberId custodian;
    std::shared_ptr<const ResidualSnapshot> snapshot;
  };

  ResidualCustody(uint32_t chunk, uint32_t interval) : chunk_(chunk), interval_(interval) {}

  // Whether a snapshot is to be taken with the entry at that place: a function of history alone.
  bool IsDue(const Place& place, bool names_departure) const;

  // The residual after that entry is zero, or was found in a worker's custody after a crash.
  void SetFloor(const ResidualFloor& floor);

  // A snapshot of entry `floor` was taken. `candidates` may hold it; unset if there are none.
  absl::optional<Order> Begin(std::shared_ptr<const ResidualSnapshot> snapshot, uint64_t epoch,
                              absl::Span<const MemberId> candidates);
  // A further result was published. Gives the order for the next custodian, if that one's time is
  // over.
  absl::optional<Order> AfterResult();
  // The order again, if it is this worker who is asked: its stream may have broken.
  absl::optional<Order> OrderTo(const MemberId& worker) const;
  // Whether that was the snapshot and the custodian waited for; it is the floor then.
  bool Acknowledge(const MemberId& custodian, const Place& place, uint64_t chain);

  // Whether that entry's snapshot is on its way to one of these.
  bool IsOnItsWay(uint64_t chain, absl::Span<const MemberId> workers) const;

  const absl::optional<ResidualFloor>& floor() const { return floor_; }
  // Results since the floor are more than workers keep: the residual would not survive a crash.
  bool unprotected() const { return results_since_floor_ > 2 * uint64_t{interval_}; }

 private:
  struct Pending {
    std::shared_ptr<const ResidualSnapshot> snapshot;
    uint64_t epoch = 0;
    std::vector<MemberId> candidates;
    // Of the candidate asked last.
    size_t asked = 0;
    uint32_t results_since_asked = 0;
    uint64_t results_since = 0;
  };

  const uint32_t chunk_;
  const uint32_t interval_;
  absl::optional<ResidualFloor> floor_;
  absl::optional<Pending> pending_;
  uint64_t results_since_floor_ = 0;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_RESIDUAL_CUSTODY_H_
