// The worker's error feedback: Backend::Accumulate with Backend::PackSigns in one pass.
#include <vector>

#include "base/status_macros.h"
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/launch.cu.h"
#include "kernels/cuda/sign_pieces.h"
#include "kernels/cuda/sign_tile.cu.h"

namespace tally::cuda {
namespace {

struct AccumulateKernelArgs {
  const SignPiece* pieces;
  uint32_t num_pieces;
  float* sum;
  const float* input;
  BlockPointers counted;  // null: nothing leaves
  const uint32_t* live;   // null: all live
  ScaleRule rule;
  uint32_t* bits;  // null: not wanted
  bool shares_words;
  // Of a whole segment: [num_segments]; of a split one: [num_pieces].
  double* norms;
  bool norms_by_segment;
};

__global__ void __launch_bounds__(kPieceWarps* kWarpLanes)
    AccumulateKernel(AccumulateKernelArgs args) {
  const uint32_t index = PieceIndex();
  if (index >= args.num_pieces) return;
  const SignPiece piece = args.pieces[index];
  const uint32_t lane = LaneId();
  const float scale = args.counted.scales != nullptr ? args.counted.scales[piece.segment] : 0.0f;
  double partial = 0.0;
  for (uint32_t begin = 0; begin < piece.count; begin += kTileElements) {
    const uint32_t count = min(kTileElements, piece.count - begin);
    const uint64_t first = uint64_t{piece.begin} + begin;
    const uint32_t num_rows = RowsOfLane(count);
    float* __restrict__ sum = args.sum + first + lane;
    const float* __restrict__ input = args.input + first + lane;
    float x[kWarpLanes];
    float g[kWarpLanes];
#pragma unroll
    for (uint32_t r = 0; r < kWarpLanes; ++r) {
      x[r] = r < num_rows ? sum[r * kWarpLanes] : 0.0f;
      g[r] = r < num_rows ? input[r * kWarpLanes] : 0.0f;
    }
    uint32_t live = LowBits(num_rows);
    if (args.live != nullptr) live &= LoadTileBits(args.live, first, count);
    if (args.counted.bits != nullptr) {
      const uint32_t flipped = ~LoadTileBits(args.counted.bits, first, count);
#pragma unroll
      for (uint32_t r = 0; r < kWarpLanes; ++r) x[r] -= SignedScale(flipped, r, scale);
    }
    uint32_t column = 0;
#pragma unroll
    for (uint32_t r = 0; r < kWarpLanes; ++r) {
      const float value = (live >> r & 1) != 0 ? x[r] + g[r] : 0.0f;
      column |= (value < 0.0f ? 0u : 1u) << r;
      partial += NormTerm(args.rule, value);
      if (r < num_rows) sum[r * kWarpLanes] = value;
    }
    if (args.bits != nullptr) {
      StoreTileBits(column, args.bits, first, count, args.shares_words);
    }
  }
  const double norm = FoldPartials(partial);
  if (lane == 0) args.norms[args.norms_by_segment ? piece.segment : index] = norm;
}

struct NormsArgs {
  const SplitSegment* segments;
  const double* piece_norms;
  double* norms;
};

// One warp a segment: adds its pieces' norms, in order.
__global__ void NormsKernel(NormsArgs args) {
  const SplitSegment segment = args.segments[blockIdx.x];
  const double norm = SumInOrder(args.piece_norms + segment.first_piece, segment.num_pieces);
  if (LaneId() == 0) args.norms[segment.segment] = norm;
}

struct PackArgs {
  const float* x;
  uint32_t* bits;
  uint32_t num_elements;
};

// A tile a warp.
__global__ void PackKernel(PackArgs args) {
  const uint64_t first = uint64_t{PieceIndex()} * kTileElements;
  if (first >= args.num_elements) return;
  const auto count = static_cast<uint32_t>(min(uint64_t{kTileElements}, args.num_elements - first));
  const uint32_t num_rows = RowsOfLane(count);
  const float* __restrict__ x = args.x + first + LaneId();
  uint32_t column = 0;
#pragma unroll
  for (uint32_t r = 0; r < kWarpLanes; ++r) {
    const float value = r < num_rows ? x[r * kWarpLanes] : 0.0f;
    column |= (value < 0.0f ? 0u : 1u) << r;
  }
  StoreTileBits(column, args.bits, first, count, /*shares_words=*/false);
}

}  // namespace

absl::Status CudaQueue::Accumulate(const DeviceAccumulateArgs& args) {
  const AccumulateArgs& accumulate = args.accumulate;
  SignPieces pieces;
  const bool shares_words = pieces.Add(0, accumulate.segment_ends);
  if (shares_words && !args.bits.empty()) {
    TALLY_RETURN_IF_ERROR(Zero(args.bits.data(), args.bits.size()));
  }
  // All memory before the first launch: the sum is changed in place.
  TALLY_ASSIGN_OR_RETURN(const SignPiece* const whole,
                         memory_.Upload(absl::MakeConstSpan(pieces.whole)));
  TALLY_ASSIGN_OR_RETURN(const SignPiece* const split,
                         memory_.Upload(absl::MakeConstSpan(pieces.split)));
  TALLY_ASSIGN_OR_RETURN(const SplitSegment* const segments,
                         memory_.Upload(absl::MakeConstSpan(pieces.split_segments)));
  TALLY_ASSIGN_OR_RETURN(double* const piece_norms, memory_.Scratch<double>(pieces.split.size()));
  const auto launch = [&](const SignPiece* list, size_t num_pieces, double* norms,
                          bool norms_by_segment) {
    return Checked(Launch(AccumulateKernel, {BlocksOfPieces(num_pieces), kPieceWarps * kWarpLanes},
                          stream_,
                          {.pieces = list,
                           .num_pieces = static_cast<uint32_t>(num_pieces),
                           .sum = accumulate.sum.data(),
                           .input = accumulate.input.data(),
                           .counted = PointersOf(accumulate.counted),
                           .live = reinterpret_cast<const uint32_t*>(accumulate.live.data()),
                           .rule = accumulate.rule,
                           .bits = reinterpret_cast<uint32_t*>(args.bits.data()),
                           .shares_words = shares_words,
                           .norms = norms,
                           .norms_by_segment = norms_by_segment}));
  };
  TALLY_RETURN_IF_ERROR(launch(whole, pieces.whole.size(), accumulate.norms.data(), true));
  TALLY_RETURN_IF_ERROR(launch(split, pieces.split.size(), piece_norms, false));
  return Checked(Launch(NormsKernel,
                        {static_cast<uint32_t>(pieces.split_segments.size()), kWarpLanes}, stream_,
                        {segments, piece_norms, accumulate.norms.data()}));
}

absl::Status CudaQueue::PackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits) {
  const auto num_tiles = (x.size() + kTileElements - 1) / kTileElements;
  return Checked(Launch(
      PackKernel, {BlocksOfPieces(num_tiles), kPieceWarps * kWarpLanes}, stream_,
      {x.data(), reinterpret_cast<uint32_t*>(bits.data()), static_cast<uint32_t>(x.size())}));
}

}  // namespace tally::cuda
