// What the lanes of a warp do together.
#ifndef TALLY_KERNELS_CUDA_WARP_CU_H_
#define TALLY_KERNELS_CUDA_WARP_CU_H_

#include <cuda_runtime.h>

#include <cstdint>

namespace tally::cuda {

inline constexpr uint32_t kWarpLanes = 32;
inline constexpr uint32_t kAllLanes = 0xffffffff;

__device__ inline uint32_t LaneId() { return threadIdx.x % kWarpLanes; }

// Each lane gives row `lane` of a 32 x 32 matrix of bits and gets column `lane`: bit r of what lane
// c gets is bit c of what lane r gave.
__device__ inline uint32_t TransposeBits(uint32_t row) {
  const uint32_t lane = LaneId();
  uint32_t mask = 0x0000ffff;
#pragma unroll
  for (uint32_t half = 16; half > 0; half /= 2) {
    const uint32_t other = __shfl_xor_sync(kAllLanes, row, half);
    row = (lane & half) == 0 ? (row & mask) | ((other & mask) << half)
                             : (row & ~mask) | ((other & ~mask) >> half);
    mask ^= mask << (half / 2);
  }
  return row;
}

// The `count` bits, at most 32, from bit `first` of a bitmap on; those above are unspecified. Reads
// no word that holds none of them.
__device__ inline uint32_t LoadBits(const uint32_t* __restrict__ words, uint64_t first,
                                    uint32_t count) {
  const uint64_t word = first / 32;
  const uint32_t shift = first % 32;
  const uint32_t low = words[word];
  if (shift + count <= 32) return low >> shift;
  return __funnelshift_r(low, words[word + 1], shift);
}

// The lowest `count` bits, at most 32.
__device__ inline uint32_t LowBits(uint32_t count) {
  return count >= 32 ? 0xffffffff : (1u << count) - 1;
}

// Folds the lanes' partial sums in halves, as Backend::SumOfSquares says; lane 0 gets the sum.
__device__ inline double FoldPartials(double partial) {
#pragma unroll
  for (uint32_t half = kWarpLanes / 2; half > 0; half /= 2) {
    partial += __shfl_down_sync(kAllLanes, partial, half);
  }
  return partial;
}

// Adds the values one after the other, starting from +0; every lane gets the sum.
__device__ inline double SumInOrder(const double* __restrict__ values, uint64_t size) {
  double sum = 0.0;
  for (uint64_t base = 0; base < size; base += kWarpLanes) {
    const uint64_t index = base + LaneId();
    const double value = index < size ? values[index] : 0.0;
    // Past the end zeros are added to a sum that is not -0.
#pragma unroll
    for (uint32_t i = 0; i < kWarpLanes; ++i) sum += __shfl_sync(kAllLanes, value, i);
  }
  return sum;
}

}  // namespace tally::cuda

#endif  // TALLY_KERNELS_CUDA_WARP_CU_H_
