// Writes what is chosen of a sequence side by side, in its order.
#ifndef TALLY_KERNELS_CUDA_COMPACT_CU_H_
#define TALLY_KERNELS_CUDA_COMPACT_CU_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "kernels/cuda/launch.cu.h"
#include "kernels/cuda/queue_memory.cu.h"
#include "kernels/cuda/warp.cu.h"

namespace tally::cuda {

inline constexpr uint32_t kCompactThreads = 256;
inline constexpr uint32_t kCompactRounds = 16;
// Of one block of threads.
inline constexpr uint32_t kCompactElements = kCompactThreads * kCompactRounds;

// Numbers of chosen elements, up to two kinds of which are counted apart.
struct ChosenCounts {
  uint32_t first;
  uint32_t second;
};

__device__ inline ChosenCounts Plus(const ChosenCounts& a, const ChosenCounts& b) {
  return {a.first + b.first, a.second + b.second};
}

// The counts of the threads before this one in the block, and of all, from whether this thread has
// one of each kind. All threads of the block take part.
struct BlockCounts {
  ChosenCounts before;
  ChosenCounts all;
};

__device__ inline BlockCounts CountInBlock(bool is_first, bool is_second) {
  constexpr uint32_t kWarps = kCompactThreads / kWarpLanes;
  __shared__ ChosenCounts warps[kWarps];
  const uint32_t warp = threadIdx.x / kWarpLanes;
  const uint32_t firsts = __ballot_sync(kAllLanes, is_first);
  const uint32_t seconds = __ballot_sync(kAllLanes, is_second);
  __syncthreads();  // the call before has read `warps`
  if (LaneId() == 0) {
    warps[warp] = {static_cast<uint32_t>(__popc(firsts)), static_cast<uint32_t>(__popc(seconds))};
  }
  __syncthreads();
  BlockCounts counts = {};
  for (uint32_t w = 0; w < kWarps; ++w) {
    if (w == warp) counts.before = counts.all;
    counts.all = Plus(counts.all, warps[w]);
  }
  const uint32_t lanes_before = LowBits(LaneId());
  counts.before.first += __popc(firsts & lanes_before);
  counts.before.second += __popc(seconds & lanes_before);
  return counts;
}

template <typename Choice>
struct CompactArgs {
  // bool IsFirst(uint64_t i), bool IsSecond(uint64_t i): the two kinds, which exclude each other;
  // void Write(uint64_t i, bool is_second, ChosenCounts before): before counts the elements of each
  // kind before i.
  Choice choice;
  uint64_t num_elements;
  ChosenCounts* counts;  // [num_blocks] of each block; then of those before it
};

template <typename Choice>
__global__ void CountChosenKernel(CompactArgs<Choice> args) {
  const uint64_t begin = uint64_t{blockIdx.x} * kCompactElements;
  ChosenCounts mine = {};
  for (uint32_t round = 0; round < kCompactRounds; ++round) {
    const uint64_t i = begin + round * kCompactThreads + threadIdx.x;
    if (i >= args.num_elements) break;
    mine.first += args.choice.IsFirst(i) ? 1 : 0;
    mine.second += args.choice.IsSecond(i) ? 1 : 0;
  }
  __shared__ ChosenCounts total;
  if (threadIdx.x == 0) total = {};
  __syncthreads();
  mine.first = __reduce_add_sync(kAllLanes, mine.first);
  mine.second = __reduce_add_sync(kAllLanes, mine.second);
  if (LaneId() == 0) {
    atomicAdd(&total.first, mine.first);
    atomicAdd(&total.second, mine.second);
  }
  __syncthreads();
  if (threadIdx.x == 0) args.counts[blockIdx.x] = total;
}

struct ScanArgs {
  ChosenCounts* counts;
  uint32_t num_blocks;
  uint32_t* total;  // of both kinds; null: not wanted
};

// Replaces counts by the sums of those before them. One warp.
__global__ void ScanCountsKernel(ScanArgs args);

template <typename Choice>
__global__ void WriteChosenKernel(CompactArgs<Choice> args) {
  const uint64_t begin = uint64_t{blockIdx.x} * kCompactElements;
  ChosenCounts before = args.counts[blockIdx.x];
  for (uint32_t round = 0; round < kCompactRounds; ++round) {
    const uint64_t i = begin + round * kCompactThreads + threadIdx.x;
    const bool exists = i < args.num_elements;
    const bool is_first = exists && args.choice.IsFirst(i);
    const bool is_second = exists && args.choice.IsSecond(i);
    const BlockCounts counts = CountInBlock(is_first, is_second);
    if (is_first || is_second) args.choice.Write(i, is_second, Plus(before, counts.before));
    before = Plus(before, counts.all);
  }
}

// `total`: where the number of chosen elements goes; null: nowhere.
template <typename Choice>
absl::Status Compact(const Choice& choice, uint64_t num_elements, uint32_t* total,
                     QueueMemory& memory, cudaStream_t stream) {
  const uint32_t num_blocks = BlocksFor(num_elements, kCompactElements);
  TALLY_ASSIGN_OR_RETURN(ChosenCounts* const counts, memory.Scratch<ChosenCounts>(num_blocks));
  const CompactArgs<Choice> args = {choice, num_elements, counts};
  const LaunchShape shape = {num_blocks, kCompactThreads};
  TALLY_RETURN_IF_ERROR(Launch(CountChosenKernel<Choice>, shape, stream, args));
  TALLY_RETURN_IF_ERROR(
      Launch(ScanCountsKernel, {1, kWarpLanes}, stream, {counts, num_blocks, total}));
  return Launch(WriteChosenKernel<Choice>, shape, stream, args);
}

}  // namespace tally::cuda

#endif  // TALLY_KERNELS_CUDA_COMPACT_CU_H_
