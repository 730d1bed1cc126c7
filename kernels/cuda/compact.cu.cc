#include "kernels/cuda/compact.cu.h"

namespace tally::cuda {

__global__ void ScanCountsKernel(ScanArgs args) {
  const uint32_t lane = LaneId();
  ChosenCounts before = {};
  for (uint32_t base = 0; base < args.num_blocks; base += kWarpLanes) {
    const uint32_t block = base + lane;
    const ChosenCounts own = block < args.num_blocks ? args.counts[block] : ChosenCounts{};
    ChosenCounts sum = own;
#pragma unroll
    for (uint32_t distance = 1; distance < kWarpLanes; distance *= 2) {
      const ChosenCounts other = {__shfl_up_sync(kAllLanes, sum.first, distance),
                                  __shfl_up_sync(kAllLanes, sum.second, distance)};
      if (lane >= distance) sum = Plus(sum, other);
    }
    if (block < args.num_blocks) {
      args.counts[block] = {before.first + sum.first - own.first,
                            before.second + sum.second - own.second};
    }
    before.first += __shfl_sync(kAllLanes, sum.first, kWarpLanes - 1);
    before.second += __shfl_sync(kAllLanes, sum.second, kWarpLanes - 1);
  }
  if (lane == 0 && args.total != nullptr) *args.total = before.first + before.second;
}

}  // namespace tally::cuda
