// The aggregator's half of a two-way sign round: Backend::SignRound for a batch of chunks.
#include <bit>
#include <cmath>
#include <vector>

#include "base/status_macros.h"
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/launch.cu.h"
#include "kernels/cuda/sign_pieces.h"
#include "kernels/cuda/sign_tile.cu.h"

namespace tally::cuda {
namespace {

// Arguments of one chunk, in device memory.
struct RoundChunk {
  const BlockPointers* blocks;
  uint32_t num_blocks;
  float divisor;
  float reciprocal;      // 1 / divisor where that is exact, else 0
  const uint32_t* live;  // null: all live
  ScaleRule rule;
  bool shares_words;
  float* residual;
  uint32_t* bits;
  float* scales;
};

struct RoundArgs {
  const RoundChunk* chunks;
  const SignPiece* pieces;
  uint32_t num_pieces;
  // [num_pieces] of the split ones.
  double* norms;
  uint32_t* num_live;
};

struct ScaleArgs {
  const RoundChunk* chunks;
  const SplitSegment* segments;
  const double* norms;
  const uint32_t* num_live;
};

// Of a warp.
struct PieceMemory {
  float x[kPieceElements];  // one column a lane
  TabledSums tabled;
};

// What a warp knows of its piece before the scale, beside x.
struct PieceSums {
  double norm;        // in lane 0
  uint32_t num_live;  // in every lane
};

// x = sum / divisor + e of every element, and its norm.
__device__ PieceSums SumPiece(const RoundChunk& chunk, const SignPiece& piece,
                              PieceMemory& memory) {
  const uint32_t lane = LaneId();
  float* const x = memory.x;
  TableSums(chunk.blocks, chunk.num_blocks, piece.segment, chunk.divisor, memory.tabled);
  double partial = 0.0;
  uint32_t num_live = 0;
  for (uint32_t begin = 0; begin < piece.count; begin += kTileElements) {
    const uint32_t count = min(kTileElements, piece.count - begin);
    const uint64_t first = uint64_t{piece.begin} + begin;
    const uint32_t num_rows = RowsOfLane(count);
    const float* __restrict__ residual = chunk.residual + first + lane;
    float e[kWarpLanes];
#pragma unroll
    for (uint32_t r = 0; r < kWarpLanes; ++r) e[r] = r < num_rows ? residual[r * kWarpLanes] : 0.0f;
    float sum[kWarpLanes];
    SumTile(chunk.blocks, chunk.num_blocks, piece.segment, first, count, memory.tabled, sum);
    uint32_t live = LowBits(num_rows);
    if (chunk.live != nullptr) live &= LoadTileBits(chunk.live, first, count);
    num_live += __popc(live);
    if (chunk.num_blocks <= kTabled) {
#pragma unroll
      for (uint32_t r = 0; r < kWarpLanes; ++r) sum[r] = sum[r] + e[r];
    } else if (chunk.reciprocal != 0.0f) {
#pragma unroll
      for (uint32_t r = 0; r < kWarpLanes; ++r) sum[r] = sum[r] * chunk.reciprocal + e[r];
    } else {
#pragma unroll
      for (uint32_t r = 0; r < kWarpLanes; ++r) sum[r] = sum[r] / chunk.divisor + e[r];
    }
#pragma unroll
    for (uint32_t r = 0; r < kWarpLanes; ++r) {
      const float value = (live >> r & 1) != 0 ? sum[r] : 0.0f;
      x[begin + r * kWarpLanes + lane] = value;
      // A lane without an element in this row adds +0, which changes nothing.
      partial += NormTerm(chunk.rule, value);
    }
  }
  return {FoldPartials(partial), __reduce_add_sync(kAllLanes, num_live)};
}

// Bits and residual, from x and the scale.
__device__ void FinishPiece(const RoundChunk& chunk, const SignPiece& piece, const float* x,
                            float scale) {
  const uint32_t lane = LaneId();
  for (uint32_t begin = 0; begin < piece.count; begin += kTileElements) {
    const uint32_t count = min(kTileElements, piece.count - begin);
    const uint64_t first = uint64_t{piece.begin} + begin;
    const uint32_t num_rows = RowsOfLane(count);
    uint32_t live = LowBits(num_rows);
    if (chunk.live != nullptr) live &= LoadTileBits(chunk.live, first, count);
    float* const residual = chunk.residual + first + lane;  // which x may be
    uint32_t column = 0;
#pragma unroll
    for (uint32_t r = 0; r < kWarpLanes; ++r) {
      if (r >= num_rows) continue;
      const float value = x[begin + r * kWarpLanes + lane];
      const bool bit = !(value < 0.0f);
      column |= (bit ? 1u : 0u) << r;
      const float sent = bit ? scale : -scale;
      residual[r * kWarpLanes] = (live >> r & 1) != 0 ? value - sent : value;
    }
    StoreTileBits(column, chunk.bits, first, count, chunk.shares_words);
  }
}

// Segments of one piece: in one pass.
__global__ void __launch_bounds__(kPieceWarps* kWarpLanes) WholeSegmentsKernel(RoundArgs args) {
  __shared__ PieceMemory shared[kPieceWarps];
  const uint32_t index = PieceIndex();
  if (index >= args.num_pieces) return;
  const SignPiece piece = args.pieces[index];
  const RoundChunk chunk = args.chunks[piece.chunk];
  PieceMemory& memory = shared[threadIdx.x / kWarpLanes];
  const PieceSums sums = SumPiece(chunk, piece, memory);
  float scale = 0;
  if (LaneId() == 0) {
    scale = ScaleOf(chunk.rule, sums.norm, sums.num_live);
    chunk.scales[piece.segment] = scale;
  }
  scale = __shfl_sync(kAllLanes, scale, 0);
  FinishPiece(chunk, piece, memory.x, scale);
}

// Pieces of longer segments: x goes where the residual was.
__global__ void __launch_bounds__(kPieceWarps* kWarpLanes) SplitSumsKernel(RoundArgs args) {
  __shared__ PieceMemory shared[kPieceWarps];
  const uint32_t index = PieceIndex();
  if (index >= args.num_pieces) return;
  const SignPiece piece = args.pieces[index];
  const RoundChunk chunk = args.chunks[piece.chunk];
  PieceMemory& memory = shared[threadIdx.x / kWarpLanes];
  const PieceSums sums = SumPiece(chunk, piece, memory);
  if (LaneId() == 0) {
    args.norms[index] = sums.norm;
    args.num_live[index] = sums.num_live;
  }
  for (uint32_t i = LaneId(); i < piece.count; i += kWarpLanes) {
    chunk.residual[uint64_t{piece.begin} + i] = memory.x[i];
  }
}

// One warp a segment: adds its pieces' norms, in order.
__global__ void ScalesKernel(ScaleArgs args) {
  const SplitSegment segment = args.segments[blockIdx.x];
  const double norm = SumInOrder(args.norms + segment.first_piece, segment.num_pieces);
  uint32_t num_live = 0;
  for (uint32_t i = LaneId(); i < segment.num_pieces; i += kWarpLanes) {
    num_live += args.num_live[segment.first_piece + i];
  }
  num_live = __reduce_add_sync(kAllLanes, num_live);
  const RoundChunk& chunk = args.chunks[segment.chunk];
  if (LaneId() == 0) chunk.scales[segment.segment] = ScaleOf(chunk.rule, norm, num_live);
}

__global__ void __launch_bounds__(kPieceWarps* kWarpLanes) SplitFinishKernel(RoundArgs args) {
  const uint32_t index = PieceIndex();
  if (index >= args.num_pieces) return;
  const SignPiece piece = args.pieces[index];
  const RoundChunk chunk = args.chunks[piece.chunk];
  FinishPiece(chunk, piece, chunk.residual + piece.begin, chunk.scales[piece.segment]);
}

float ExactReciprocal(float divisor) {
  int exponent;
  return std::frexp(divisor, &exponent) == 0.5f && std::isnormal(1.0f / divisor) ? 1.0f / divisor
                                                                                 : 0.0f;
}

}  // namespace

absl::Status CudaQueue::SignRounds(absl::Span<const SignRoundArgs> rounds) {
  std::vector<BlockPointers> blocks;
  for (const SignRoundArgs& round : rounds) {
    for (const SignBlock& block : round.blocks) blocks.push_back(PointersOf(block));
  }
  TALLY_ASSIGN_OR_RETURN(const BlockPointers* const device_blocks,
                         memory_.Upload(absl::MakeConstSpan(blocks)));
  std::vector<RoundChunk> chunks;
  SignPieces pieces;
  size_t first_block = 0;
  for (const SignRoundArgs& round : rounds) {
    const bool shares_words = pieces.Add(static_cast<uint32_t>(chunks.size()), round.segment_ends);
    if (shares_words) TALLY_RETURN_IF_ERROR(Zero(round.bits.data(), round.bits.size()));
    chunks.push_back({.blocks = device_blocks + first_block,
                      .num_blocks = static_cast<uint32_t>(round.blocks.size()),
                      .divisor = round.divisor,
                      .reciprocal = ExactReciprocal(round.divisor),
                      .live = reinterpret_cast<const uint32_t*>(round.live.data()),
                      .rule = round.rule,
                      .shares_words = shares_words,
                      .residual = round.residual.data(),
                      .bits = reinterpret_cast<uint32_t*>(round.bits.data()),
                      .scales = round.scales.data()});
    first_block += round.blocks.size();
  }
  TALLY_ASSIGN_OR_RETURN(const RoundChunk* const device_chunks,
                         memory_.Upload(absl::MakeConstSpan(chunks)));
  // All memory before the first launch: residuals are changed in place.
  const size_t num_split = pieces.split.size();
  TALLY_ASSIGN_OR_RETURN(const SignPiece* const whole,
                         memory_.Upload(absl::MakeConstSpan(pieces.whole)));
  TALLY_ASSIGN_OR_RETURN(const SignPiece* const split,
                         memory_.Upload(absl::MakeConstSpan(pieces.split)));
  TALLY_ASSIGN_OR_RETURN(const SplitSegment* const segments,
                         memory_.Upload(absl::MakeConstSpan(pieces.split_segments)));
  TALLY_ASSIGN_OR_RETURN(double* const norms, memory_.Scratch<double>(num_split));
  TALLY_ASSIGN_OR_RETURN(uint32_t* const num_live, memory_.Scratch<uint32_t>(num_split));
  constexpr uint32_t kThreads = kPieceWarps * kWarpLanes;
  TALLY_RETURN_IF_ERROR(Checked(Launch(
      WholeSegmentsKernel, {BlocksOfPieces(pieces.whole.size()), kThreads}, stream_,
      {device_chunks, whole, static_cast<uint32_t>(pieces.whole.size()), nullptr, nullptr})));
  const RoundArgs args = {device_chunks, split, static_cast<uint32_t>(num_split), norms, num_live};
  const LaunchShape shape = {BlocksOfPieces(num_split), kThreads};
  TALLY_RETURN_IF_ERROR(Checked(Launch(SplitSumsKernel, shape, stream_, args)));
  const auto num_segments = static_cast<uint32_t>(pieces.split_segments.size());
  TALLY_RETURN_IF_ERROR(Checked(Launch(ScalesKernel, {num_segments, kWarpLanes}, stream_,
                                       {device_chunks, segments, norms, num_live})));
  return Checked(Launch(SplitFinishKernel, shape, stream_, args));
}

}  // namespace tally::cuda
