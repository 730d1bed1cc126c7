// Count sketches: tables from vectors and estimates from tables.
#include "base/status_macros.h"
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/launch.cu.h"
#include "kernels/cuda/sketch_plan.cu.h"
#include "kernels/cuda/warp.cu.h"
#include "kernels/sketch_hash.h"

namespace tally::cuda {
namespace {

// The threads of a run or of a slot: half a warp.
constexpr uint32_t kRunLanes = kSketchRunElements;
constexpr uint32_t kThreads = 256;
constexpr uint32_t kRunsPerBlock = kThreads / kRunLanes;

// A run's place within its slot, in 20 bits.
__device__ uint32_t PackLanes(const SketchRunHash& hash) {
  return hash.lane_mask | hash.signs << 4;
}

struct SketchArgs {
  SketchShape shape;
  SketchPlan plan;
  uint32_t num_slots;
  const float* x;
  uint64_t num_elements;
  float* table;
};

// One cell a thread: adds what comes to it, in the order of the vector.
__global__ void __launch_bounds__(kThreads) SketchKernel(SketchArgs args) {
  const uint32_t slot = blockIdx.x * kRunsPerBlock + threadIdx.x / kRunLanes;
  const uint32_t lane = threadIdx.x % kRunLanes;
  const bool exists = slot < args.num_slots;
  const uint32_t slots_per_row = args.shape.columns / kSketchRunElements;
  const uint64_t row_key = SketchRowKey(args.shape.key, slot / slots_per_row);
  const uint32_t begin = exists ? args.plan.starts[slot] : 0;
  const uint32_t end = exists ? args.plan.starts[slot + 1] : 0;
  float sum = 0.0f;
  // The halves of a warp have lists of different lengths; both go on until both are done.
  for (uint32_t base = begin; __any_sync(kAllLanes, base < end); base += kRunLanes) {
    // Each lane hashes one of the next runs.
    uint32_t run = 0;
    uint32_t lanes = 0;
    if (base + lane < end) {
      run = args.plan.runs[base + lane];
      lanes = PackLanes(HashOfRun(row_key, run, args.shape.columns));
    }
#pragma unroll
    for (uint32_t k = 0; k < kRunLanes; ++k) {
      const uint32_t next_run = __shfl_sync(kAllLanes, run, k, kRunLanes);
      const uint32_t next_lanes = __shfl_sync(kAllLanes, lanes, k, kRunLanes);
      const uint32_t position = lane ^ (next_lanes & 15);
      const uint64_t element = uint64_t{next_run} * kSketchRunElements + position;
      if (base + k < end && element < args.num_elements) {
        const float value = args.x[element];
        sum += (next_lanes >> (4 + position) & 1) != 0 ? -value : value;
      }
    }
  }
  if (exists) args.table[uint64_t{slot} * kSketchRunElements + lane] = sum;
}

struct EstimateArgs {
  SketchShape shape;
  const float* table;
  float* x;
  uint64_t num_elements;
  uint32_t num_runs;
};

// The median of kRows values, an odd number: exchanges until the middle one is in its place.
template <uint32_t kRows>
__device__ float MedianOf(float (&values)[kRows]) {
#pragma unroll
  for (uint32_t last = kRows - 1; last > kRows / 2; --last) {
    // The largest of the first last + 1 goes to their end...
#pragma unroll
    for (uint32_t i = 0; i < last; ++i) {
      const float low = fminf(values[i], values[i + 1]);
      values[i + 1] = fmaxf(values[i], values[i + 1]);
      values[i] = low;
    }
  }
  // ... so the middle one is the largest of those that are left.
  float median = values[0];
#pragma unroll
  for (uint32_t i = 1; i <= kRows / 2; ++i) median = fmaxf(median, values[i]);
  return median + 0.0f;  // -0 + 0 is +0
}

// One element a thread.
template <uint32_t kRows>
__global__ void __launch_bounds__(kThreads) EstimateKernel(EstimateArgs args) {
  const uint32_t run = blockIdx.x * kRunsPerBlock + threadIdx.x / kRunLanes;
  const uint32_t lane = threadIdx.x % kRunLanes;
  // Each lane hashes the run for one row.
  uint32_t first_column = 0;
  uint32_t lanes = 0;
  if (lane < kRows) {
    const SketchRunHash hash =
        HashOfRun(SketchRowKey(args.shape.key, lane), run, args.shape.columns);
    first_column = hash.first_column;
    lanes = PackLanes(hash);
  }
  float values[kRows];
#pragma unroll
  for (uint32_t row = 0; row < kRows; ++row) {
    const uint32_t column = __shfl_sync(kAllLanes, first_column, row, kRunLanes);
    const uint32_t row_lanes = __shfl_sync(kAllLanes, lanes, row, kRunLanes);
    const float cell =
        args.table[uint64_t{row} * args.shape.columns + column + (lane ^ (row_lanes & 15))];
    values[row] = (row_lanes >> (4 + lane) & 1) != 0 ? -cell : cell;
  }
  const uint64_t element = uint64_t{run} * kSketchRunElements + lane;
  if (element < args.num_elements) args.x[element] = MedianOf(values);
}

}  // namespace

absl::Status CudaQueue::Sketch(const SketchShape& shape, absl::Span<const float> x,
                               absl::Span<float> table) {
  const auto num_runs =
      static_cast<uint32_t>((x.size() + kSketchRunElements - 1) / kSketchRunElements);
  const uint32_t num_slots = shape.rows * (shape.columns / kSketchRunElements);
  TALLY_ASSIGN_OR_RETURN(const SketchPlan plan,
                         sketch_plans_.Find(shape, num_runs, memory_, stream_));
  return Checked(Launch(SketchKernel, {BlocksFor(num_slots, kRunsPerBlock), kThreads}, stream_,
                        {shape, plan, num_slots, x.data(), x.size(), table.data()}));
}

absl::Status CudaQueue::Estimate(const SketchShape& shape, absl::Span<const float> table,
                                 absl::Span<float> x) {
  const auto num_runs =
      static_cast<uint32_t>((x.size() + kSketchRunElements - 1) / kSketchRunElements);
  const EstimateArgs args = {shape, table.data(), x.data(), x.size(), num_runs};
  const LaunchShape launch_shape = {BlocksFor(num_runs, kRunsPerBlock), kThreads};
  const auto launch = [&](auto kernel) {
    return Checked(Launch(kernel, launch_shape, stream_, args));
  };
  static_assert(kMaxSketchRows == 15);
  switch (shape.rows) {
    case 1:
      return launch(EstimateKernel<1>);
    case 3:
      return launch(EstimateKernel<3>);
    case 5:
      return launch(EstimateKernel<5>);
    case 7:
      return launch(EstimateKernel<7>);
    case 9:
      return launch(EstimateKernel<9>);
    case 11:
      return launch(EstimateKernel<11>);
    case 13:
      return launch(EstimateKernel<13>);
    default:
      return launch(EstimateKernel<15>);
  }
}

}  // namespace tally::cuda
