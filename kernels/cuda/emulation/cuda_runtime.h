// As much of CUDA's runtime as kernels/cuda/ uses, on the host's processor: so its kernels and its
// device run, slowly, where there is neither a GPU nor a toolkit, and tests see what they compute.
// What this cannot show: races between blocks or warps, memory that is not coherent, speed.
//
// The threads of a block are fibers of one thread of the host, which switches among them where they
// wait for each other; blocks run one after the other, when they are launched.
#ifndef TALLY_KERNELS_CUDA_EMULATION_CUDA_RUNTIME_H_
#define TALLY_KERNELS_CUDA_EMULATION_CUDA_RUNTIME_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(threads)

struct dim3 {
  uint32_t x;
  uint32_t y;
  uint32_t z;
  constexpr dim3(uint32_t vx = 1, uint32_t vy = 1, uint32_t vz = 1) : x(vx), y(vy), z(vz) {}
};

struct alignas(8) uint2 {
  uint32_t x;
  uint32_t y;
};

struct alignas(16) uint4 {
  uint32_t x;
  uint32_t y;
  uint32_t z;
  uint32_t w;
};

// Of the fiber that runs.
inline dim3 threadIdx;
inline dim3 blockIdx;
inline dim3 gridDim;

namespace tally::cuda_emulation {

// Runs `thread` for every thread of every block.
void RunBlocks(const dim3& blocks, const dim3& threads, const std::function<void()>& thread);

// Waits for the threads of the warp, or of the block, that have not returned.
void WaitForWarp();
void WaitForBlock();

// Where the lanes of this warp show each other 8 bytes each.
uint64_t* WarpSlots();

// Shows `value` to the warp, and gets what `source` shows.
template <typename T>
T Exchange(T value, uint32_t source) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t* const slots = WarpSlots();
  std::memcpy(&slots[threadIdx.x % 32], &value, sizeof(T));
  WaitForWarp();
  T result;
  std::memcpy(&result, &slots[source], sizeof(T));
  WaitForWarp();
  return result;
}

template <typename T>
T SumOfWarp(T value) {
  uint64_t* const slots = WarpSlots();
  slots[threadIdx.x % 32] = value;
  WaitForWarp();
  T sum = 0;
  for (uint32_t lane = 0; lane < 32; ++lane) sum += static_cast<T>(slots[lane]);
  WaitForWarp();
  return sum;
}

}  // namespace tally::cuda_emulation

using cudaStream_t = struct EmulatedStream*;

enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation, cudaErrorInvalidValue };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
inline constexpr unsigned cudaStreamNonBlocking = 1;
inline constexpr unsigned cudaDeviceScheduleBlockingSync = 4;

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem;
  int major;
  int minor;
};

const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaSetDeviceFlags(unsigned flags);
cudaError_t cudaMalloc(void** memory, size_t num_bytes);
cudaError_t cudaFree(void* memory);
cudaError_t cudaMallocHost(void** memory, size_t num_bytes);
cudaError_t cudaFreeHost(void* memory);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t num_bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* memory, int value, size_t num_bytes, cudaStream_t stream);

template <typename Args>
cudaError_t cudaLaunchKernel(void (*kernel)(Args), dim3 blocks, dim3 threads, void** args,
                             size_t /*shared_bytes*/, cudaStream_t /*stream*/) {
  const Args& kernel_args = *static_cast<const Args*>(args[0]);
  tally::cuda_emulation::RunBlocks(blocks, threads, [&] { kernel(kernel_args); });
  return cudaSuccess;
}

template <typename T>
T __shfl_sync(uint32_t, T value, uint32_t source, uint32_t width = 32) {
  const uint32_t first = threadIdx.x % 32 / width * width;
  return tally::cuda_emulation::Exchange(value, first + source % width);
}
template <typename T>
T __shfl_xor_sync(uint32_t, T value, uint32_t mask) {
  return tally::cuda_emulation::Exchange(value, threadIdx.x % 32 ^ mask);
}
template <typename T>
T __shfl_up_sync(uint32_t, T value, uint32_t distance) {
  const uint32_t lane = threadIdx.x % 32;
  return tally::cuda_emulation::Exchange(value, lane < distance ? lane : lane - distance);
}
template <typename T>
T __shfl_down_sync(uint32_t, T value, uint32_t distance) {
  const uint32_t lane = threadIdx.x % 32;
  return tally::cuda_emulation::Exchange(value, lane + distance > 31 ? lane : lane + distance);
}
inline uint32_t __ballot_sync(uint32_t, bool predicate) {
  return tally::cuda_emulation::SumOfWarp(uint32_t{predicate} << threadIdx.x % 32);
}
inline bool __any_sync(uint32_t mask, bool predicate) {
  return __ballot_sync(mask, predicate) != 0;
}
inline uint32_t __reduce_add_sync(uint32_t, uint32_t value) {
  return tally::cuda_emulation::SumOfWarp(value);
}
inline void __syncwarp() { tally::cuda_emulation::WaitForWarp(); }
inline void __syncthreads() { tally::cuda_emulation::WaitForBlock(); }

inline uint32_t atomicAdd(uint32_t* memory, uint32_t value) {
  const uint32_t before = *memory;
  *memory += value;
  return before;
}
inline uint32_t atomicOr(uint32_t* memory, uint32_t value) {
  const uint32_t before = *memory;
  *memory |= value;
  return before;
}

inline float __uint_as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t __float_as_uint(float value) { return std::bit_cast<uint32_t>(value); }
inline int __popc(uint32_t bits) { return std::popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline uint32_t __funnelshift_r(uint32_t low, uint32_t high, uint32_t shift) {
  return static_cast<uint32_t>((uint64_t{high} << 32 | low) >> (shift % 32));
}
inline uint32_t __byte_perm(uint32_t low, uint32_t high, uint32_t selector) {
  const uint64_t bytes = uint64_t{high} << 32 | low;
  uint32_t result = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t byte = selector >> (4 * i) & 7;
    result |= static_cast<uint32_t>(bytes >> (8 * byte) & 0xff) << (8 * i);
  }
  return result;
}
template <typename T>
T __ldcs(const T* memory) {
  return *memory;
}
template <typename T>
void __stcs(T* memory, T value) {
  *memory = value;
}

using std::max;
using std::min;

#endif  // TALLY_KERNELS_CUDA_EMULATION_CUDA_RUNTIME_H_
