#include "client/optimizers/device/device_input.h"

#include <cstdint>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "client/optimizers/device/device_array.h"
#include "client/optimizers/device/lane_use.h"
#include "client/optimizers/step_arguments.h"
#include "codecs/limits.h"
#include "kernels/dtype.h"

namespace tally {
namespace {

// Which of them hold something that may not be sent.
absl::StatusOr<std::vector<bool>> AreBeyond(absl::Span<const absl::Span<const float>> chunks,
                                            Lane& lane) {
  std::vector<uint32_t> beyond(chunks.size());
  const LaneUse use(&lane);
  TALLY_ASSIGN_OR_RETURN(const absl::Span<uint32_t> found, lane.Out(absl::MakeSpan(beyond)));
  for (size_t c = 0; c < chunks.size(); ++c) {
    TALLY_RETURN_IF_ERROR(lane.queue().FindBeyond(chunks[c], kMaxMagnitude, &found[c]));
  }
  TALLY_RETURN_IF_ERROR(lane.Finish());
  return std::vector<bool>(beyond.begin(), beyond.end());
}

// Only the host's copy tells which element it was.
absl::Status Refuse(uint32_t chunk, absl::Span<const float> gradient, InputGuard& guard,
                    Lane& lane) {
  TALLY_ASSIGN_OR_RETURN(const std::vector<float> host, FetchElements(gradient, lane));
  return guard.Refuse(chunk, host, DType::kFloat32);
}

}  // namespace

absl::StatusOr<std::vector<float>> FetchElements(absl::Span<const float> elements, Lane& lane) {
  std::vector<float> host(elements.size());
  const LaneUse use(&lane);
  TALLY_RETURN_IF_ERROR(CopyToHost(lane.queue(), elements, absl::MakeSpan(host)));
  TALLY_RETURN_IF_ERROR(lane.Finish());
  return host;
}

absl::Status FetchAt(absl::Span<const float> x, absl::Span<const uint32_t> elements,
                     absl::Span<float> out, Lane& lane) {
  const LaneUse use(&lane);
  TALLY_ASSIGN_OR_RETURN(const absl::Span<const uint32_t> starts, lane.In(elements));
  TALLY_ASSIGN_OR_RETURN(const absl::Span<float> packed, lane.Out(out));
  TALLY_RETURN_IF_ERROR(lane.queue().Gather(x, {.starts = starts}, packed));
  return lane.Finish();
}

absl::Status StoreAt(absl::Span<const float> values, absl::Span<const uint32_t> elements,
                     absl::Span<float> x, Lane& lane) {
  const LaneUse use(&lane);
  TALLY_ASSIGN_OR_RETURN(const absl::Span<const uint32_t> starts, lane.In(elements));
  TALLY_ASSIGN_OR_RETURN(const absl::Span<const float> packed, lane.In(values));
  TALLY_RETURN_IF_ERROR(lane.queue().Scatter(packed, {.starts = starts}, x));
  return lane.Finish();
}

absl::StatusOr<bool> IsAccepted(uint32_t chunk, absl::Span<const float> gradient, InputGuard& guard,
                                Lane& lane) {
  if (guard.follows()) return false;
  TALLY_ASSIGN_OR_RETURN(const std::vector<bool> beyond, AreBeyond({&gradient, 1}, lane));
  if (!beyond[0]) return true;
  TALLY_RETURN_IF_ERROR(Refuse(chunk, gradient, guard, lane));
  return false;
}

absl::StatusOr<std::vector<bool>> AcceptedChunks(absl::Span<const float> gradients,
                                                 const Layout& layout, InputGuard& guard,
                                                 Lane& lane) {
  std::vector<absl::Span<const float>> chunks;
  for (uint32_t c = 0; c < layout.chunks().size() && !layout.chunks()[c].dense; ++c) {
    chunks.push_back(ChunkOf(gradients, layout, c));
  }
  if (guard.follows()) return std::vector<bool>(chunks.size(), false);
  TALLY_ASSIGN_OR_RETURN(std::vector<bool> accepted, AreBeyond(chunks, lane));
  accepted.flip();
  for (uint32_t c = 0; c < chunks.size(); ++c) {
    if (!accepted[c]) TALLY_RETURN_IF_ERROR(Refuse(c, chunks[c], guard, lane));
  }
  return accepted;
}

}  // namespace tally
