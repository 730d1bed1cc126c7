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

absl::StatusOr<std::vector<float>> FetchElements(absl::Span<const float> elements, Lane& lane) {
  std::vector<float> host(elements.size());
  const LaneUse use(&lane);
  TALLY_RETURN_IF_ERROR(CopyToHost(lane.queue(), elements, absl::MakeSpan(host)));
  TALLY_RETURN_IF_ERROR(lane.Finish());
  return host;
}

absl::StatusOr<std::vector<bool>> AcceptedChunks(absl::Span<const float> gradients,
                                                 const Layout& layout, InputGuard& guard,
                                                 Lane& lane) {
  std::vector<uint32_t> beyond;
  for (const Layout::Chunk& chunk : layout.chunks()) {
    if (!chunk.dense) beyond.push_back(0);
  }
  std::vector<bool> accepted(beyond.size(), !guard.follows());
  if (guard.follows()) return accepted;
  const LaneUse use(&lane);
  TALLY_ASSIGN_OR_RETURN(const absl::Span<uint32_t> found, lane.Out(absl::MakeSpan(beyond)));
  for (uint32_t c = 0; c < beyond.size(); ++c) {
    TALLY_RETURN_IF_ERROR(
        lane.queue().FindBeyond(ChunkOf(gradients, layout, c), kMaxMagnitude, &found[c]));
  }
  TALLY_RETURN_IF_ERROR(lane.Finish());
  for (uint32_t c = 0; c < beyond.size(); ++c) {
    if (beyond[c] == 0) continue;
    accepted[c] = false;
    TALLY_ASSIGN_OR_RETURN(const std::vector<float> gradient,
                           FetchElements(ChunkOf(gradients, layout, c), lane));
    TALLY_RETURN_IF_ERROR(guard.Refuse(c, gradient, DType::kFloat32));
  }
  return accepted;
}

}  // namespace tally
