// CUDA's results as statuses, and launches of kernels whose arguments travel in one struct.
#ifndef TALLY_KERNELS_CUDA_LAUNCH_CU_H_
#define TALLY_KERNELS_CUDA_LAUNCH_CU_H_

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace tally::cuda {

// OK; RESOURCE_EXHAUSTED if there was no memory for it; else UNAVAILABLE, which the device takes
// for final.
inline absl::Status StatusOf(cudaError_t error, absl::string_view what) {
  if (error == cudaSuccess) return absl::OkStatus();
  const std::string message =
      absl::StrCat(what, ": ", cudaGetErrorName(error), ": ", cudaGetErrorString(error));
  if (error == cudaErrorMemoryAllocation) return absl::ResourceExhaustedError(message);
  return absl::UnavailableError(message);
}

// Blocks enough for so many items.
inline uint32_t BlocksFor(uint64_t num_items, uint64_t items_per_block) {
  return static_cast<uint32_t>((num_items + items_per_block - 1) / items_per_block);
}

struct LaunchShape {
  dim3 blocks;
  dim3 threads;
  size_t shared_bytes = 0;  // dynamic
};

// Enqueues the kernel into `stream`, which is never the default one. Nothing is launched for no
// blocks.
template <typename Args>
absl::Status Launch(void (*kernel)(Args), const LaunchShape& shape, cudaStream_t stream,
                    std::type_identity_t<Args> args) {
  if (shape.blocks.x == 0 || shape.blocks.y == 0) return absl::OkStatus();
  void* parameters[] = {&args};
  return StatusOf(
      cudaLaunchKernel(kernel, shape.blocks, shape.threads, parameters, shape.shared_bytes, stream),
      "launch of a kernel");
}

}  // namespace tally::cuda

#endif  // TALLY_KERNELS_CUDA_LAUNCH_CU_H_
