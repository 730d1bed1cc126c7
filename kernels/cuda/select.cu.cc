// The largest elements: a radix selection over magnitudes, without a sort.
#include <algorithm>

#include "base/status_macros.h"
#include "kernels/cuda/compact.cu.h"
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/launch.cu.h"
#include "kernels/cuda/warp.cu.h"

namespace tally::cuda {
namespace {

constexpr uint32_t kThreads = 512;
constexpr uint32_t kMaxBins = 2048;
constexpr uint32_t kMagnitudeBits = 31;

// What is known of the smallest chosen magnitude, in device memory.
struct Threshold {
  uint32_t prefix;     // its upper bits
  uint32_t remaining;  // how many are chosen among the magnitudes with this prefix
};

// One digit of the magnitudes.
struct Digit {
  uint32_t shift;
  uint32_t num_bins;
};
constexpr Digit kDigits[] = {{20, 2048}, {9, 2048}, {0, 512}};
static_assert(kDigits[0].num_bins << kDigits[0].shift == 1u << kMagnitudeBits);

__device__ uint32_t MagnitudeOf(float x) { return __float_as_uint(x) & 0x7fffffffu; }

__device__ bool IsLive(const uint8_t* live, uint64_t i) {
  return live == nullptr || (live[i / 8] >> (i % 8) & 1) != 0;
}

struct HistogramArgs {
  const float* x;
  const uint8_t* live;  // null: all live
  uint64_t num_elements;
  Digit digit;
  const Threshold* threshold;  // null: every prefix
  uint32_t* bins;              // zeroed before
};

__global__ void __launch_bounds__(kThreads) HistogramKernel(HistogramArgs args) {
  __shared__ uint32_t bins[kMaxBins];
  for (uint32_t bin = threadIdx.x; bin < args.digit.num_bins; bin += kThreads) bins[bin] = 0;
  __syncthreads();
  const uint64_t stride = uint64_t{gridDim.x} * kThreads;
  const uint32_t prefix = args.threshold == nullptr ? 0 : args.threshold->prefix;
#pragma unroll 4
  for (uint64_t i = uint64_t{blockIdx.x} * kThreads + threadIdx.x; i < args.num_elements;
       i += stride) {
    const uint32_t magnitude = MagnitudeOf(args.x[i]);
    const uint32_t bin = magnitude >> args.digit.shift;
    if (args.threshold != nullptr && bin / args.digit.num_bins != prefix) continue;
    if (!IsLive(args.live, i)) continue;
    atomicAdd(&bins[bin % args.digit.num_bins], 1u);
  }
  __syncthreads();
  for (uint32_t bin = threadIdx.x; bin < args.digit.num_bins; bin += kThreads) {
    if (bins[bin] != 0) atomicAdd(&args.bins[bin], bins[bin]);
  }
}

struct NarrowArgs {
  const uint32_t* bins;
  Digit digit;
  uint32_t count;  // how many are chosen in all
  bool is_first;   // nothing is known yet
  Threshold* threshold;
};

// Finds the bin of the smallest chosen magnitude. One warp: from the top, 32 bins at a time.
__global__ void NarrowKernel(NarrowArgs args) {
  const uint32_t lane = LaneId();
  Threshold threshold = {0, args.count};
  if (!args.is_first) threshold = *args.threshold;
  uint32_t above = 0;
  for (uint32_t top = args.digit.num_bins; top > 0; top -= kWarpLanes) {
    const uint32_t bin = top - 1 - lane;
    uint32_t sum = args.bins[bin];
    const uint32_t own = sum;
#pragma unroll
    for (uint32_t distance = 1; distance < kWarpLanes; distance *= 2) {
      const uint32_t other = __shfl_up_sync(kAllLanes, sum, distance);
      if (lane >= distance) sum += other;
    }
    const uint32_t reached = __ballot_sync(kAllLanes, above + sum >= threshold.remaining);
    if (reached != 0) {
      if (lane == static_cast<uint32_t>(__ffs(static_cast<int>(reached)) - 1)) {
        *args.threshold = {threshold.prefix * args.digit.num_bins + bin,
                           threshold.remaining - (above + sum - own)};
      }
      return;
    }
    above += __shfl_sync(kAllLanes, sum, kWarpLanes - 1);
  }
}

// Chooses what lies above the threshold, and of what equals it as many as are wanted, lower indices
// first.
struct LargestChoice {
  const float* x;
  const uint8_t* live;
  const Threshold* threshold;
  uint32_t* indices;
  float* values;  // null: not wanted

  __device__ bool IsFirst(uint64_t i) const {
    return MagnitudeOf(x[i]) > threshold->prefix && IsLive(live, i);
  }
  __device__ bool IsSecond(uint64_t i) const {
    return MagnitudeOf(x[i]) == threshold->prefix && IsLive(live, i);
  }
  __device__ void Write(uint64_t i, bool is_second, const ChosenCounts& before) const {
    const uint32_t remaining = threshold->remaining;
    if (is_second && before.second >= remaining) return;
    const uint32_t position = before.first + min(before.second, remaining);
    indices[position] = static_cast<uint32_t>(i);
    if (values != nullptr) values[position] = x[i];
  }
};

}  // namespace

absl::Status CudaQueue::SelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                                      absl::Span<uint32_t> indices, absl::Span<float> values) {
  constexpr uint32_t kMaxBlocks = 1024;
  TALLY_ASSIGN_OR_RETURN(uint32_t* const bins, memory_.Scratch<uint32_t>(kMaxBins));
  TALLY_ASSIGN_OR_RETURN(Threshold* const threshold, memory_.Scratch<Threshold>(1));
  const auto num_blocks = std::min(BlocksFor(x.size(), kThreads), kMaxBlocks);
  bool is_first = true;
  for (const Digit& digit : kDigits) {
    TALLY_RETURN_IF_ERROR(Zero(bins, digit.num_bins * sizeof(*bins)));
    TALLY_RETURN_IF_ERROR(Checked(
        Launch(HistogramKernel, {num_blocks, kThreads}, stream_,
               {x.data(), live.data(), x.size(), digit, is_first ? nullptr : threshold, bins})));
    TALLY_RETURN_IF_ERROR(
        Checked(Launch(NarrowKernel, {1, kWarpLanes}, stream_,
                       {bins, digit, static_cast<uint32_t>(indices.size()), is_first, threshold})));
    is_first = false;
  }
  const LargestChoice choice = {x.data(), live.data(), threshold, indices.data(),
                                values.empty() ? nullptr : values.data()};
  return Checked(Compact(choice, x.size(), nullptr, memory_, stream_));
}

}  // namespace tally::cuda
