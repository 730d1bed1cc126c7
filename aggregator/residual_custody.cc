#include "aggregator/residual_custody.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "codecs/custodians.h"

namespace tally {

std::shared_ptr<const ResidualSnapshot> TakeResidualSnapshot(uint32_t chunk, const Place& place,
                                                             uint64_t chain,
                                                             absl::Span<const float> residual) {
  Buffer payload(residual.size() * sizeof(float));
  std::memcpy(payload.data(), residual.data(), payload.size());
  ResidualSnapshot snapshot{.chunk = chunk, .place = place, .chain = chain};
  snapshot.payload_digest = Digest64(std::as_const(payload).bytes());
  snapshot.payload = std::make_shared<const Buffer>(std::move(payload));
  return std::make_shared<const ResidualSnapshot>(std::move(snapshot));
}

absl::StatusOr<std::shared_ptr<Residual>> ResidualOf(const ResidualSnapshot& snapshot) {
  std::vector<float> values(snapshot.payload->size() / sizeof(float));
  std::memcpy(values.data(), snapshot.payload->data(), snapshot.payload->size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    return absl::InvalidArgumentError(absl::StrCat("`residual_snapshot` of chunk ", snapshot.chunk,
                                                   ": element ", i, " = ", values[i],
                                                   ", must be finite"));
  }
  return std::make_shared<Residual>(std::move(values));
}

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
  pending.asked = FirstCustodian(snapshot->chain, candidates.size());
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

absl::optional<ResidualCustody::Order> ResidualCustody::OrderTo(const MemberId& worker) const {
  if (!pending_.has_value() || pending_->candidates[pending_->asked] != worker) {
    return absl::nullopt;
  }
  return Order{worker, pending_->snapshot};
}

bool ResidualCustody::IsOnItsWay(uint64_t chain, absl::Span<const MemberId> workers) const {
  return pending_.has_value() && pending_->snapshot->chain == chain &&
         std::find(workers.begin(), workers.end(), pending_->candidates[pending_->asked]) !=
             workers.end();
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
