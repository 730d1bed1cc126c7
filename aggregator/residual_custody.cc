#include "aggregator/residual_custody.h"

#include <algorithm>
#include <utility>

#include "base/mix64.h"

namespace tally {

bool ResidualCustody::IsDue(const Place& place, bool names_departure) const {
  return names_departure || (place.round + chunk_) % interval_ == 0;
}

void ResidualCustody::SetFloor(const ResidualFloor& floor) {
  floor_ = floor;
  results_since_floor_ = 0;
}

absl::optional<ResidualCustody::Order> ResidualCustody::Begin(
    std::shared_ptr<const ResidualSnapshot> snapshot, uint64_t epoch,
    absl::Span<const MemberId> candidates) {
  if (candidates.empty()) return absl::nullopt;
  Pending pending;
  pending.epoch = epoch;
  pending.candidates.assign(candidates.begin(), candidates.end());
  // Spreads the chunks, and one chunk's snapshots, over the workers.
  pending.asked = static_cast<size_t>(Mix64(snapshot->chain) % candidates.size());
  pending.snapshot = std::move(snapshot);
  pending_ = std::move(pending);
  return Order{pending_->candidates[pending_->asked], pending_->snapshot};
}

absl::optional<ResidualCustody::Order> ResidualCustody::AfterResult() {
  ++results_since_floor_;
  if (!pending_.has_value()) return absl::nullopt;
  ++pending_->results_since;
  if (++pending_->results_since_asked < std::max<uint32_t>(interval_ / 4, 1)) return absl::nullopt;
  pending_->results_since_asked = 0;
  pending_->asked = (pending_->asked + 1) % pending_->candidates.size();
  return Order{pending_->candidates[pending_->asked], pending_->snapshot};
}

bool ResidualCustody::Acknowledge(const MemberId& custodian, const Place& place, uint64_t chain) {
  if (!pending_.has_value() || pending_->snapshot->place != place ||
      pending_->snapshot->chain != chain || pending_->candidates[pending_->asked] != custodian) {
    return false;
  }
  floor_ = ResidualFloor{.place = place, .chain = chain, .epoch = pending_->epoch};
  results_since_floor_ = pending_->results_since;
  pending_.reset();
  return true;
}

}  // namespace tally
