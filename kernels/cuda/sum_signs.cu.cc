// Backend::SumSigns.
#include <vector>

#include "base/status_macros.h"
#include "kernels/cuda/cuda_queue.cu.h"
#include "kernels/cuda/launch.cu.h"
#include "kernels/cuda/sign_pieces.h"
#include "kernels/cuda/sign_tile.cu.h"

namespace tally::cuda {
namespace {

struct SumArgs {
  const SignPiece* pieces;
  uint32_t num_pieces;
  const BlockPointers* blocks;
  uint32_t num_blocks;
  const uint32_t* live;  // null: all live
  float* out;
};

__global__ void __launch_bounds__(kPieceWarps* kWarpLanes) SumSignsKernel(SumArgs args) {
  const uint32_t index = PieceIndex();
  if (index >= args.num_pieces) return;
  const SignPiece piece = args.pieces[index];
  __shared__ TabledSums shared[kPieceWarps];
  TabledSums& tabled = shared[threadIdx.x / kWarpLanes];
  TableSums(args.blocks, args.num_blocks, piece.segment, /*divisor=*/1.0f, tabled);
  for (uint32_t begin = 0; begin < piece.count; begin += kTileElements) {
    const uint32_t count = min(kTileElements, piece.count - begin);
    const uint64_t first = uint64_t{piece.begin} + begin;
    const uint32_t num_rows = RowsOfLane(count);
    float sum[kWarpLanes];
    SumTile(args.blocks, args.num_blocks, piece.segment, first, count, tabled, sum);
    uint32_t live = kAllLanes;
    if (args.live != nullptr) live = LoadTileBits(args.live, first, count);
    float* __restrict__ out = args.out + first + LaneId();
#pragma unroll
    for (uint32_t r = 0; r < kWarpLanes; ++r) {
      if (r < num_rows) out[r * kWarpLanes] = (live >> r & 1) != 0 ? sum[r] : 0.0f;
    }
  }
}

}  // namespace

absl::Status CudaQueue::SumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
                                 absl::Span<const uint8_t> live, absl::Span<float> out) {
  SignPieces pieces;
  pieces.Add(0, segment_ends);
  // No norm is wanted: all pieces are alike.
  std::vector<SignPiece> all = pieces.whole;
  all.insert(all.end(), pieces.split.begin(), pieces.split.end());
  std::vector<BlockPointers> pointers;
  for (const SignBlock& block : blocks) pointers.push_back(PointersOf(block));
  TALLY_ASSIGN_OR_RETURN(const SignPiece* const device_pieces,
                         memory_.Upload(absl::MakeConstSpan(all)));
  TALLY_ASSIGN_OR_RETURN(const BlockPointers* const device_blocks,
                         memory_.Upload(absl::MakeConstSpan(pointers)));
  return Checked(Launch(SumSignsKernel, {BlocksOfPieces(all.size()), kPieceWarps * kWarpLanes},
                        stream_,
                        {device_pieces, static_cast<uint32_t>(all.size()), device_blocks,
                         static_cast<uint32_t>(pointers.size()),
                         reinterpret_cast<const uint32_t*>(live.data()), out.data()}));
}

}  // namespace tally::cuda
