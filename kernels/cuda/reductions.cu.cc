// Sums and bounds over one span.
#include <algorithm>

#include "base/status_macros.h"
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/launch.cu.h"
#include "kernels/cuda/warp.cu.h"

namespace tally::cuda {
namespace {

// Of one partial sum of a norm (Backend::SumOfSquares).
constexpr uint32_t kBlockElements = 4096;
constexpr uint32_t kThreads = 256;
constexpr uint32_t kWarps = kThreads / kWarpLanes;

struct DotArgs {
  const float* x;
  const float* y;  // null: magnitudes of x
  uint64_t num_elements;
  double* block_sums;
};

// A warp a block of elements.
__global__ void BlockSumsKernel(DotArgs args) {
  const uint64_t block = uint64_t{blockIdx.x} * kWarps + threadIdx.x / kWarpLanes;
  const uint64_t begin = block * kBlockElements;
  if (begin >= args.num_elements) return;
  const uint64_t end = min(begin + kBlockElements, args.num_elements);
  double partial = 0.0;
#pragma unroll 8
  for (uint64_t i = begin + LaneId(); i < end; i += kWarpLanes) {
    const double x = args.x[i];
    partial += args.y != nullptr ? x * static_cast<double>(args.y[i]) : fabs(x);
  }
  const double sum = FoldPartials(partial);
  if (LaneId() == 0) args.block_sums[block] = sum;
}

struct TotalArgs {
  const double* block_sums;
  uint64_t num_blocks;
  double* total;
};

__global__ void TotalKernel(TotalArgs args) {
  const double total = SumInOrder(args.block_sums, args.num_blocks);
  if (LaneId() == 0) *args.total = total;
}

struct BeyondArgs {
  const float* x;
  uint64_t num_elements;
  float bound;
  uint32_t* beyond;
};

__global__ void FindBeyondKernel(BeyondArgs args) {
  const uint64_t stride = uint64_t{gridDim.x} * kThreads;
  bool is_beyond = false;
  for (uint64_t i = uint64_t{blockIdx.x} * kThreads + threadIdx.x; i < args.num_elements;
       i += stride) {
    const float magnitude = fabsf(args.x[i]);
    is_beyond =
        is_beyond || !(magnitude <= args.bound) || __float_as_uint(magnitude) >= 0x7f800000u;
  }
  if (is_beyond) *args.beyond = 1;
}

absl::Status SumTerms(const float* x, const float* y, uint64_t num_elements, double* total,
                      QueueMemory& memory, cudaStream_t stream) {
  const uint32_t num_blocks = BlocksFor(num_elements, kBlockElements);
  TALLY_ASSIGN_OR_RETURN(double* const block_sums, memory.Scratch<double>(num_blocks));
  TALLY_RETURN_IF_ERROR(Launch(BlockSumsKernel, {BlocksFor(num_blocks, kWarps), kThreads}, stream,
                               {x, y, num_elements, block_sums}));
  return Launch(TotalKernel, {1, kWarpLanes}, stream, {block_sums, num_blocks, total});
}

}  // namespace

absl::Status CudaQueue::SumOfSquares(absl::Span<const float> x, double* norm) {
  return DotProduct(x, x, norm);
}

absl::Status CudaQueue::SumOfMagnitudes(absl::Span<const float> x, double* norm) {
  return Checked(SumTerms(x.data(), nullptr, x.size(), norm, memory_, stream_));
}

absl::Status CudaQueue::DotProduct(absl::Span<const float> x, absl::Span<const float> y,
                                   double* product) {
  return Checked(SumTerms(x.data(), y.data(), x.size(), product, memory_, stream_));
}

absl::Status CudaQueue::FindBeyond(absl::Span<const float> x, float bound, uint32_t* beyond) {
  constexpr uint32_t kMaxBlocks = 1024;
  TALLY_RETURN_IF_ERROR(Zero(beyond, sizeof(*beyond)));
  return Checked(Launch(FindBeyondKernel,
                        {std::min(BlocksFor(x.size(), kThreads), kMaxBlocks), kThreads}, stream_,
                        {x.data(), x.size(), bound, beyond}));
}

}  // namespace tally::cuda
