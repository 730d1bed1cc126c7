// CUB's stable sort of pairs, as far as kernels/cuda/ uses it.
#ifndef TALLY_KERNELS_CUDA_EMULATION_CUB_DEVICE_DEVICE_RADIX_SORT_CUH_
#define TALLY_KERNELS_CUDA_EMULATION_CUB_DEVICE_DEVICE_RADIX_SORT_CUH_

#include <cuda_runtime.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace cub {

struct DeviceRadixSort {
  template <typename Key, typename Value>
  static cudaError_t SortPairs(void* temporary, size_t& temporary_bytes, const Key* keys,
                               Key* sorted_keys, const Value* values, Value* sorted_values,
                               uint32_t num_pairs, int begin_bit, int end_bit,
                               cudaStream_t /*stream*/) {
    temporary_bytes = 1;
    if (temporary == nullptr) return cudaSuccess;
    const auto digits = [&](uint32_t i) {
      return (uint64_t{keys[i]} & ((uint64_t{1} << end_bit) - 1)) >> begin_bit;
    };
    std::vector<uint32_t> order(num_pairs);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return digits(a) < digits(b); });
    for (uint32_t i = 0; i < num_pairs; ++i) {
      sorted_keys[i] = keys[order[i]];
      sorted_values[i] = values[order[i]];
    }
    return cudaSuccess;
  }
};

}  // namespace cub

#endif  // TALLY_KERNELS_CUDA_EMULATION_CUB_DEVICE_DEVICE_RADIX_SORT_CUH_
