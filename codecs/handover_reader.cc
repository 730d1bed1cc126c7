#include "codecs/handover_reader.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "codecs/limits.h"

namespace tally {
namespace {

// More than an aggregator passes on at a time.
constexpr size_t kMaxPartials = 16;

bool IsAcceptable(const Buffer& payload) {
  std::vector<float> values(payload.size() / sizeof(float));
  std::memcpy(values.data(), payload.data(), payload.size());
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return std::abs(value) <= kMaxMagnitude; });
}

}  // namespace

absl::optional<ReceivedHandover> HandoverReader::Take(v1::Handover slice, absl::string_view piece) {
  const std::string leaver = slice.leaver().worker();
  const bool has_residual =
      slice.chunk() < layout_->chunks().size() && !layout_->chunks()[slice.chunk()].dense;
  if (!has_residual) return absl::nullopt;
  if (slice.slice().offset_bytes() == 0) {
    partials_.erase(leaver);
    // Of leavers that went in the middle nothing more comes.
    if (partials_.size() >= kMaxPartials) partials_.erase(partials_.begin());
    partials_.emplace(leaver, Partial{slice, ResidualAssembler(layout_, "handover")});
  }
  const auto found = partials_.find(leaver);
  if (found == partials_.end()) return absl::nullopt;
  Partial& partial = found->second;
  const absl::StatusOr<SharedBuffer> payload =
      partial.assembler.Take(slice.chunk(), slice.slice(), slice.payload_digest(), piece);
  if (payload.ok() && *payload == nullptr) return absl::nullopt;
  absl::optional<ReceivedHandover> received;
  if (payload.ok() && IsAcceptable(**payload)) received = {std::move(partial.first), *payload};
  partials_.erase(found);
  return received;
}

}  // namespace tally
