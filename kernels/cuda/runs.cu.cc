// Elements that do not lie side by side, and their weights in a sketch.
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/launch.cu.h"

namespace tally::cuda {
namespace {

constexpr uint32_t kThreads = 256;

LaunchShape ShapeOf(uint64_t num_elements) { return {BlocksFor(num_elements, kThreads), kThreads}; }

__device__ uint64_t ElementIndex() { return uint64_t{blockIdx.x} * kThreads + threadIdx.x; }

struct RunArgs {
  const float* from;
  const uint32_t* starts;
  uint32_t run_elements;
  float* to;
  uint64_t num_elements;  // of what is packed
};

// Neighbouring threads have neighbouring elements of a run, so that both sides go in whole lines.
__device__ uint64_t ElementOf(const RunArgs& args, uint64_t i) {
  const uint64_t run = i / args.run_elements;
  return uint64_t{args.starts[run]} * args.run_elements + (i - run * args.run_elements);
}

__global__ void GatherRunsKernel(RunArgs args) {
  const uint64_t i = ElementIndex();
  if (i < args.num_elements) args.to[i] = args.from[ElementOf(args, i)];
}

__global__ void ScatterRunsKernel(RunArgs args) {
  const uint64_t i = ElementIndex();
  if (i < args.num_elements) args.to[ElementOf(args, i)] = args.from[i];
}

struct WeighArgs {
  float* x;
  const uint8_t* live;  // null: all
  const float* second_moment;
  float second_correction;
  float epsilon;
  float* out;
  uint64_t num_elements;
};

__global__ void WeighKernel(WeighArgs args) {
  const uint64_t i = ElementIndex();
  if (i >= args.num_elements) return;
  float x = args.x[i];
  if (args.live != nullptr && ((args.live[i / 8] >> (i % 8)) & 1) == 0) {
    x = 0.0f;
    args.x[i] = x;
  }
  const float denominator = sqrtf(args.second_moment[i] * args.second_correction) + args.epsilon;
  args.out[i] = 1.0f / denominator * x;
}

}  // namespace

absl::Status CudaQueue::Gather(absl::Span<const float> x, const DeviceRuns& runs,
                               absl::Span<float> packed) {
  return Checked(
      Launch(GatherRunsKernel, ShapeOf(packed.size()), stream_,
             {x.data(), runs.starts.data(), runs.num_elements, packed.data(), packed.size()}));
}

absl::Status CudaQueue::Scatter(absl::Span<const float> packed, const DeviceRuns& runs,
                                absl::Span<float> x) {
  return Checked(
      Launch(ScatterRunsKernel, ShapeOf(packed.size()), stream_,
             {packed.data(), runs.starts.data(), runs.num_elements, x.data(), packed.size()}));
}

absl::Status CudaQueue::Weigh(const DeviceWeighArgs& args) {
  return Checked(Launch(WeighKernel, ShapeOf(args.x.size()), stream_,
                        {.x = args.x.data(),
                         .live = args.live.empty() ? nullptr : args.live.data(),
                         .second_moment = args.second_moment.data(),
                         .second_correction = args.second_correction,
                         .epsilon = args.epsilon,
                         .out = args.out.data(),
                         .num_elements = args.x.size()}));
}

}  // namespace tally::cuda
