#include "aggregator/state_relay.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/mix64.h"
#include "codecs/limits.h"

namespace tally {

absl::optional<StateRelay::Donor> StateRelay::Request(const MemberId& newcomer,
                                                      const v1::StateRequest& request,
                                                      absl::Span<const Donor> candidates) {
  Route& route = routes_[newcomer.worker];
  if (route.newcomer == newcomer && route.id == request.id()) {
    route.received_bytes = std::max(route.received_bytes, request.received_bytes());
    return route.donor;
  }
  if (candidates.empty()) {
    routes_.erase(newcomer.worker);
    return absl::nullopt;
  }
  route = {.id = request.id(),
           .newcomer = newcomer,
           .donor = candidates[Mix64(request.id()) % candidates.size()],
           .received_bytes = 0};
  return route.donor;
}

absl::StatusOr<absl::optional<MemberId>> StateRelay::Relay(const MemberId& donor,
                                                           const v1::StatePart& part,
                                                           size_t piece_bytes) {
  const auto found = std::find_if(routes_.begin(), routes_.end(), [&](const auto& entry) {
    return entry.second.id == part.id() && entry.second.donor.member == donor;
  });
  if (found == routes_.end()) return absl::optional<MemberId>();
  const Route& route = found->second;
  const uint64_t end = part.slice().offset_bytes() + piece_bytes;
  if (end > route.received_bytes + kStateWindowBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("`state_part.slice.offset_bytes` = ", part.slice().offset_bytes(), " and ",
                     piece_bytes, " bytes reach too far, must end within ", kStateWindowBytes,
                     " of the ", route.received_bytes, " that the newcomer has"));
  }
  absl::optional<MemberId> newcomer = route.newcomer;
  if (!part.has_slice()) routes_.erase(found);
  return newcomer;
}

std::vector<StateRelay::Orphan> StateRelay::Sweep(absl::FunctionRef<bool(const Donor&)> gives,
                                                  absl::FunctionRef<bool(const MemberId&)> waits) {
  std::vector<Orphan> orphans;
  for (auto entry = routes_.begin(); entry != routes_.end();) {
    const Route& route = entry->second;
    const bool is_given = gives(route.donor);
    const bool is_awaited = waits(route.newcomer);
    if (!is_given && is_awaited) orphans.push_back({route.newcomer, route.id});
    entry = is_given && is_awaited ? std::next(entry) : routes_.erase(entry);
  }
  return orphans;
}

}  // namespace tally
