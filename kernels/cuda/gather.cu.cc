// Copies of many payloads from pinned memory of the host.
#include <algorithm>
#include <vector>

#include "base/status_macros.h"
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/launch.cu.h"

namespace tally::cuda {
namespace {

constexpr uint32_t kThreads = 256;
constexpr uint32_t kVectorBytes = sizeof(uint4);
// Of one block: enough loads over the bus under way at once, and blocks enough.
constexpr uint32_t kVectorsPerThread = 4;
constexpr uint32_t kPartBytes = kThreads * kVectorsPerThread * kVectorBytes;

struct Part {
  const uint8_t* from;  // the host's
  uint8_t* to;
  uint32_t num_bytes;  // at most kPartBytes
};

struct GatherArgs {
  const Part* parts;
};

__global__ void __launch_bounds__(kThreads) GatherKernel(GatherArgs args) {
  const Part part = args.parts[blockIdx.x];
  const uint32_t num_vectors = part.num_bytes / kVectorBytes;
  const auto* const from = reinterpret_cast<const uint4*>(part.from);
  auto* const to = reinterpret_cast<uint4*>(part.to);
  uint4 vectors[kVectorsPerThread];
#pragma unroll
  for (uint32_t k = 0; k < kVectorsPerThread; ++k) {
    const uint32_t i = k * kThreads + threadIdx.x;
    if (i < num_vectors) vectors[k] = __ldcs(from + i);
  }
#pragma unroll
  for (uint32_t k = 0; k < kVectorsPerThread; ++k) {
    const uint32_t i = k * kThreads + threadIdx.x;
    if (i < num_vectors) to[i] = vectors[k];
  }
  const uint32_t i = num_vectors * kVectorBytes + threadIdx.x;
  if (i < part.num_bytes) part.to[i] = part.from[i];
}

}  // namespace

absl::Status CudaQueue::GatherIn(absl::Span<const DeviceHostPiece> pieces) {
  std::vector<Part> parts;
  for (const DeviceHostPiece& piece : pieces) {
    for (size_t begin = 0; begin < piece.pinned.size(); begin += kPartBytes) {
      parts.push_back(
          {piece.pinned.data() + begin, piece.device + begin,
           static_cast<uint32_t>(std::min<size_t>(kPartBytes, piece.pinned.size() - begin))});
    }
  }
  TALLY_ASSIGN_OR_RETURN(const Part* const device_parts,
                         memory_.Upload(absl::MakeConstSpan(parts)));
  return Checked(Launch(GatherKernel, {static_cast<uint32_t>(parts.size()), kThreads}, stream_,
                        {device_parts}));
}

}  // namespace tally::cuda
