#include <cuda_runtime.h>
#include <ucontext.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "base/mutex.h"

namespace tally::cuda_emulation {
namespace {

constexpr uint32_t kWarpLanes = 32;
constexpr size_t kStackBytes = size_t{64} << 10;

// Threads that wait for each other.
struct Group {
  uint32_t num_running = 0;
  uint32_t num_waiting = 0;
  uint64_t generation = 0;

  bool TryRelease() {
    if (num_waiting < num_running) return false;
    num_waiting = 0;
    ++generation;
    return true;
  }
};

struct Warp {
  Group group;
  uint64_t slots[kWarpLanes] = {};
};

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack = std::make_unique<char[]>(kStackBytes);
  dim3 thread;
  bool is_done = false;
};

// The block that runs.
struct Block {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  Group group;
  Fiber* current = nullptr;
  ucontext_t scheduler;
  const std::function<void()>* thread = nullptr;
};

Block* running_block = nullptr;

Warp& CurrentWarp() { return running_block->warps[threadIdx.x / kWarpLanes]; }

void Yield() { swapcontext(&running_block->current->context, &running_block->scheduler); }

void WaitFor(Group& group) {
  const uint64_t generation = group.generation;
  ++group.num_waiting;
  if (group.TryRelease()) return;
  while (group.generation == generation) Yield();
}

// A fiber runs one thread of every block.
void RunFiber() {
  Block& block = *running_block;
  Fiber& fiber = *block.current;
  while (true) {
    (*block.thread)();
    for (Group* const group : {&CurrentWarp().group, &block.group}) {
      --group->num_running;
      if (group->num_running > 0) group->TryRelease();
    }
    fiber.is_done = true;
    Yield();
  }
}

void RunBlock(Block& block) {
  const auto num_threads = static_cast<uint32_t>(block.fibers.size());
  block.group = {.num_running = num_threads};
  for (Warp& warp : block.warps) warp = {};
  for (uint32_t i = 0; i < num_threads; ++i) {
    ++block.warps[i / kWarpLanes].group.num_running;
    block.fibers[i].is_done = false;
  }
  bool some_run = true;
  while (some_run) {
    some_run = false;
    for (Fiber& fiber : block.fibers) {
      if (fiber.is_done) continue;
      some_run = true;
      block.current = &fiber;
      threadIdx = fiber.thread;
      swapcontext(&block.scheduler, &fiber.context);
    }
  }
}

}  // namespace

void RunBlocks(const dim3& blocks, const dim3& threads, const std::function<void()>& thread) {
  // threadIdx and the kernels' shared memory are there once for all.
  static Mutex& mutex = *new Mutex();
  const MutexLock lock(&mutex);
  Block block;
  block.fibers = std::vector<Fiber>(threads.x);
  for (uint32_t i = 0; i < threads.x; ++i) {
    Fiber& fiber = block.fibers[i];
    fiber.thread = dim3(i);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    makecontext(&fiber.context, RunFiber, 0);
  }
  block.warps.resize((threads.x + kWarpLanes - 1) / kWarpLanes);
  block.thread = &thread;
  running_block = &block;
  gridDim = blocks;
  for (uint32_t y = 0; y < blocks.y; ++y) {
    for (uint32_t x = 0; x < blocks.x; ++x) {
      blockIdx = dim3(x, y);
      RunBlock(block);
    }
  }
  running_block = nullptr;
}

void WaitForWarp() { WaitFor(CurrentWarp().group); }
void WaitForBlock() { WaitFor(running_block->group); }
uint64_t* WarpSlots() { return CurrentWarp().slots; }

}  // namespace tally::cuda_emulation

namespace {

cudaError_t AllocatePoisoned(void** memory, size_t num_bytes) {
  constexpr size_t kAlignment = 256;
  *memory = std::aligned_alloc(kAlignment, (num_bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (*memory == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*memory, 0xa5, num_bytes);
  return cudaSuccess;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t) { return "cudaError"; }
const char* cudaGetErrorString(cudaError_t) { return "an error of the emulation"; }
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {.name = "emulated", .totalGlobalMem = size_t{1} << 30, .major = 8, .minor = 0};
  return cudaSuccess;
}
cudaError_t cudaSetDeviceFlags(unsigned) { return cudaSuccess; }
cudaError_t cudaMalloc(void** memory, size_t num_bytes) {
  return AllocatePoisoned(memory, num_bytes);
}
cudaError_t cudaFree(void* memory) {
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, size_t num_bytes) {
  return AllocatePoisoned(memory, num_bytes);
}
cudaError_t cudaFreeHost(void* memory) { return cudaFree(memory); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t num_bytes, cudaMemcpyKind,
                            cudaStream_t) {
  std::memcpy(to, from, num_bytes);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* memory, int value, size_t num_bytes, cudaStream_t) {
  std::memset(memory, value, num_bytes);
  return cudaSuccess;
}
