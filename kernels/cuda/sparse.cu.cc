// Means of sparse payloads.
#include "base/status_macros.h"
#include "kernels/cuda/compact.cu.h"
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/launch.cu.h"

namespace tally::cuda {
namespace {

constexpr uint32_t kThreads = 256;

struct AddBlockArgs {
  const uint32_t* indices;
  const float* values;
  uint32_t num_values;
  float* sum;
  uint8_t* present;
};

// One entry a thread; a block names no element twice.
__global__ void AddBlockKernel(AddBlockArgs args) {
  const uint32_t k = blockIdx.x * kThreads + threadIdx.x;
  if (k >= args.num_values) return;
  const uint32_t index = args.indices[k];
  // Whoever is first is not added to zero: -0 stays what it was.
  args.sum[index] = args.present[index] != 0 ? args.sum[index] + args.values[k] : args.values[k];
  args.present[index] = 1;
}

struct PresentChoice {
  const float* sum;
  const uint8_t* present;
  float divisor;
  uint32_t* indices;
  float* mean;

  __device__ bool IsFirst(uint64_t i) const { return present[i] != 0; }
  __device__ bool IsSecond(uint64_t) const { return false; }
  __device__ void Write(uint64_t i, bool, const ChosenCounts& before) const {
    indices[before.first] = static_cast<uint32_t>(i);
    mean[before.first] = sum[i] / divisor;
  }
};

}  // namespace

absl::Status CudaQueue::SparseMean(absl::Span<const DeviceSparseBlock> blocks,
                                   uint32_t num_elements, float divisor,
                                   absl::Span<uint32_t> indices, absl::Span<float> mean,
                                   uint32_t* count) {
  TALLY_ASSIGN_OR_RETURN(float* const sum, memory_.Scratch<float>(num_elements));
  TALLY_ASSIGN_OR_RETURN(uint8_t* const present, memory_.Scratch<uint8_t>(num_elements));
  TALLY_RETURN_IF_ERROR(Zero(present, num_elements));
  // One launch a block: they add in their order.
  for (const DeviceSparseBlock& block : blocks) {
    const auto num_values = static_cast<uint32_t>(block.indices.size());
    TALLY_RETURN_IF_ERROR(
        Checked(Launch(AddBlockKernel, {BlocksFor(num_values, kThreads), kThreads}, stream_,
                       {block.indices.data(), block.values.data(), num_values, sum, present})));
  }
  const PresentChoice choice = {sum, present, divisor, indices.data(), mean.data()};
  return Checked(Compact(choice, num_elements, count, memory_, stream_));
}

}  // namespace tally::cuda
