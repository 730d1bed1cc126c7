#include "aggregator/handover_relay.h"

#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "codecs/limits.h"

namespace tally {

absl::Status HandoverRelay::CheckSlice(const v1::Handover& slice, size_t piece_bytes) const {
  if (layout_.chunks()[slice.chunk()].dense) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`handover.chunk` = ", slice.chunk(), ", must be one that is not always exchanged dense"));
  }
  const uint64_t num_bytes = uint64_t{layout_.chunks()[slice.chunk()].num_elements} * sizeof(float);
  if (slice.slice().total_bytes() != num_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "chunk ", slice.chunk(), ": `handover.slice.total_bytes` = ", slice.slice().total_bytes(),
        ", must be ", num_bytes, ", 4 for each element of the chunk"));
  }
  if (piece_bytes == 0 || piece_bytes > kMaxSliceBytes || piece_bytes > num_bytes ||
      slice.slice().offset_bytes() > num_bytes - piece_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "chunk ", slice.chunk(), ": `handover.slice.offset_bytes` = ", slice.slice().offset_bytes(),
        " and ", piece_bytes, " bytes, must be a piece of at most ", kMaxSliceBytes, " of ",
        num_bytes));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> HandoverRelay::Relay(const std::string& leaver,
                                          absl::optional<uint64_t> heir_stream,
                                          const v1::Handover& slice, size_t piece_bytes) {
  TALLY_RETURN_IF_ERROR(CheckSlice(slice, piece_bytes));
  if (!heir_stream.has_value()) return false;
  const auto found = routes_.find(leaver);
  if (slice.slice().offset_bytes() == 0) {
    // What was sent before lies in an heir's queue.
    if (found != routes_.end() || routes_.size() >= kMaxHandovers) return false;
    routes_[leaver] = {.chunk = slice.chunk(),
                       .heir_stream = *heir_stream,
                       .relayed_bytes = piece_bytes,
                       .total_bytes = slice.slice().total_bytes()};
    return true;
  }
  if (found == routes_.end() || found->second.chunk != slice.chunk() ||
      found->second.heir_stream != *heir_stream ||
      found->second.relayed_bytes != slice.slice().offset_bytes()) {
    return false;
  }
  found->second.relayed_bytes += piece_bytes;
  return true;
}

bool HandoverRelay::Acknowledge(const std::string& leaver, uint32_t chunk, uint64_t heir_stream) {
  const auto found = routes_.find(leaver);
  if (found == routes_.end() || found->second.chunk != chunk ||
      found->second.heir_stream != heir_stream) {
    return false;
  }
  routes_.erase(found);
  return true;
}

void HandoverRelay::ForgetHeir(uint64_t heir_stream) {
  for (auto route = routes_.begin(); route != routes_.end();) {
    route = route->second.heir_stream == heir_stream ? routes_.erase(route) : std::next(route);
  }
}

}  // namespace tally
