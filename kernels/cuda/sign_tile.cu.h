// What the sign kernels share. A warp works on tiles of 32 x 32 elements: lane j has element j of
// each of the 32 rows, so that rows are coalesced and lane j is the j-th partial sum of a norm.
#ifndef TALLY_KERNELS_CUDA_SIGN_TILE_CU_H_
#define TALLY_KERNELS_CUDA_SIGN_TILE_CU_H_

#include <cuda_runtime.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/backend.h"
#include "kernels/cuda/launch.cu.h"
#include "kernels/cuda/sign_pieces.h"
#include "kernels/cuda/warp.cu.h"

namespace tally::cuda {

inline constexpr uint32_t kTileElements = kWarpLanes * kWarpLanes;
// Of one piece.
inline constexpr uint32_t kPieceTiles = kPieceElements / kTileElements;

// Rows of a tile of `count` elements in which this lane has one.
__device__ inline uint32_t RowsOfLane(uint32_t count) {
  return (count + kWarpLanes - 1 - LaneId()) / kWarpLanes;
}

// A SignBlock in device memory.
struct BlockPointers {
  const uint32_t* bits;
  const float* scales;
};

inline BlockPointers PointersOf(const SignBlock& block) {
  return {reinterpret_cast<const uint32_t*>(block.bits.data()), block.scales.data()};
}

// The bits of a tile, one column a lane: bit r is that of element 32 r + lane of the tile, which
// starts at bit `first` of the bitmap and has `count` elements. Bits past them are unspecified.
__device__ inline uint32_t LoadTileBits(const uint32_t* __restrict__ words, uint64_t first,
                                        uint32_t count) {
  const uint32_t row_begin = LaneId() * kWarpLanes;
  uint32_t row = 0;
  if (row_begin < count)
    row = LoadBits(words, first + row_begin, min(kWarpLanes, count - row_begin));
  return TransposeBits(row);
}

// Writes what LoadTileBits reads. If pieces share words, the bitmap was zeroed, and all of its
// tiles are stored like this.
__device__ inline void StoreTileBits(uint32_t column, uint32_t* __restrict__ words, uint64_t first,
                                     uint32_t count, bool shares_words) {
  uint32_t row = TransposeBits(column);
  const uint32_t row_begin = LaneId() * kWarpLanes;
  if (row_begin >= count) return;
  const uint32_t row_count = min(kWarpLanes, count - row_begin);
  row &= LowBits(row_count);
  const uint64_t word = (first + row_begin) / 32;
  const uint32_t shift = (first + row_begin) % 32;
  if (!shares_words) {
    words[word] = row;
    return;
  }
  atomicOr(&words[word], row << shift);
  if (shift + row_count > 32) atomicOr(&words[word + 1], row >> (32 - shift));
}

// A scale with the sign of bit `r` of a column: 1 keeps it. `flipped` is the column's complement.
__device__ inline float SignedScale(uint32_t flipped, uint32_t r, float scale) {
  return __uint_as_float(((flipped << (31 - r)) & 0x80000000u) ^ __float_as_uint(scale));
}

// Blocks whose sums come from a table: a segment's scales are the same for all of its elements, so
// the first blocks have 2^kTabled sums, each in their order; the bits of an element choose one.
inline constexpr uint32_t kTabled = 8;

// A warp's shared memory for them.
struct TabledSums {
  float sums[1 << kTabled];
  // [row][column] of a tile: the bits of the tabled blocks, one a bit.
  uint8_t patterns[kWarpLanes][kWarpLanes];
};

// Fills the table of a segment. `divisor` divides the sums if there are no further blocks.
__device__ inline void TableSums(const BlockPointers* __restrict__ blocks, uint32_t num_blocks,
                                 uint32_t segment, float divisor, TabledSums& tabled) {
  __syncwarp();  // the segment before has been looked up
  const uint32_t num_tabled = min(num_blocks, kTabled);
  for (uint32_t pattern = LaneId(); pattern < 1u << num_tabled; pattern += kWarpLanes) {
    float sum = -0.0f;  // -0 + x is x, also for -0
    for (uint32_t n = 0; n < num_tabled; ++n) {
      const float scale = blocks[n].scales[segment];
      sum += (pattern >> n & 1) != 0 ? scale : -scale;
    }
    tabled.sums[pattern] = num_blocks <= kTabled ? sum / divisor : sum;
  }
  __syncwarp();
}

// Turns 8 rows of 8 bits over, bit 0 first: rows 0 to 3 are the bytes of `low`, 4 to 7 of `high`.
__device__ inline void TransposeBytes(uint32_t& low, uint32_t& high) {
#pragma unroll
  for (uint32_t* const half : {&low, &high}) {
    uint32_t swapped = (*half ^ (*half >> 7)) & 0x00aa00aau;
    *half ^= swapped ^ (swapped << 7);
    swapped = (*half ^ (*half >> 14)) & 0x0000ccccu;
    *half ^= swapped ^ (swapped << 14);
  }
  const uint32_t swapped = (low ^ (high << 4)) & 0xf0f0f0f0u;
  low ^= swapped;
  high ^= swapped >> 4;
}

// Byte b of each of four words, as bytes 0 to 3 of bytes[b].
__device__ inline void GatherBytes(const uint32_t* words, uint32_t (&bytes)[4]) {
  const uint32_t low01 = __byte_perm(words[0], words[1], 0x5140);
  const uint32_t high01 = __byte_perm(words[0], words[1], 0x7362);
  const uint32_t low23 = __byte_perm(words[2], words[3], 0x5140);
  const uint32_t high23 = __byte_perm(words[2], words[3], 0x7362);
  bytes[0] = __byte_perm(low01, low23, 0x5410);
  bytes[1] = __byte_perm(low01, low23, 0x7632);
  bytes[2] = __byte_perm(high01, high23, 0x5410);
  bytes[3] = __byte_perm(high01, high23, 0x7632);
}

// Writes the patterns of a tile; each lane those of its row.
__device__ inline void WritePatterns(const BlockPointers* __restrict__ blocks, uint32_t num_blocks,
                                     uint64_t first, uint32_t count, TabledSums& tabled) {
  const uint32_t row_begin = LaneId() * kWarpLanes;
  const uint32_t row_count = row_begin < count ? min(kWarpLanes, count - row_begin) : 0;
  uint32_t rows[kTabled];
#pragma unroll
  for (uint32_t n = 0; n < kTabled; ++n) {
    rows[n] = n < num_blocks && row_count > 0
                  ? LoadBits(blocks[n].bits, first + row_begin, row_count)
                  : 0;
  }
  uint32_t low[4];
  uint32_t high[4];
  GatherBytes(rows, low);
  GatherBytes(rows + 4, high);
  // Past the end of a row bits are unspecified; patterns there are not looked up.
#pragma unroll
  for (uint32_t byte = 0; byte < 4; ++byte) TransposeBytes(low[byte], high[byte]);
  __syncwarp();  // the tile before has been read
  auto* const patterns = reinterpret_cast<uint4*>(tabled.patterns[LaneId()]);
  patterns[0] = uint4{low[0], high[0], low[1], high[1]};
  patterns[1] = uint4{low[2], high[2], low[3], high[3]};
  __syncwarp();
}

// sum[r] = the sum over the blocks, in order, of the signed scale of element 32 r + lane; divided
// as TableSums says. The segment's table was filled.
__device__ inline void SumTile(const BlockPointers* __restrict__ blocks, uint32_t num_blocks,
                               uint32_t segment, uint64_t first, uint32_t count, TabledSums& tabled,
                               float (&sum)[kWarpLanes]) {
  // So many blocks' loads are under way at once.
  constexpr uint32_t kGroup = 4;
  WritePatterns(blocks, num_blocks, first, count, tabled);
#pragma unroll
  for (uint32_t r = 0; r < kWarpLanes; ++r) {
    sum[r] = tabled.sums[tabled.patterns[r][LaneId()]];
  }
  const uint32_t row_begin = LaneId() * kWarpLanes;
  const uint32_t row_count = row_begin < count ? min(kWarpLanes, count - row_begin) : 0;
  for (uint32_t base = kTabled; base < num_blocks; base += kGroup) {
    uint32_t rows[kGroup];
    float scales[kGroup];
#pragma unroll
    for (uint32_t k = 0; k < kGroup; ++k) {
      rows[k] = 0;
      scales[k] = 0;
      if (base + k < num_blocks) {
        const BlockPointers block = blocks[base + k];
        if (row_count > 0) rows[k] = LoadBits(block.bits, first + row_begin, row_count);
        scales[k] = block.scales[segment];
      }
    }
#pragma unroll
    for (uint32_t k = 0; k < kGroup; ++k) {
      if (base + k < num_blocks) {
        const uint32_t flipped = ~TransposeBits(rows[k]);
#pragma unroll
        for (uint32_t r = 0; r < kWarpLanes; ++r) sum[r] += SignedScale(flipped, r, scales[k]);
      }
    }
  }
}

// A term of a norm.
__device__ inline double NormTerm(ScaleRule rule, float x) {
  const double wide = x;
  return rule == ScaleRule::kRootMeanSquare ? wide * wide : fabs(wide);
}

// ScaleFromNorm.
__device__ inline float ScaleOf(ScaleRule rule, double norm, uint32_t num_live) {
  if (num_live == 0) return 0.0f;
  const double mean = norm / static_cast<double>(num_live);
  const double scale = rule == ScaleRule::kRootMeanSquare ? sqrt(mean) : mean;
  // std::min keeps a NaN that comes first.
  return static_cast<float>(0x1p64 < scale ? 0x1p64 : scale);
}

// How many warps a block of the sign kernels has.
inline constexpr uint32_t kPieceWarps = 2;

// The piece of this warp, or `num_pieces` or more.
__device__ inline uint32_t PieceIndex() {
  return blockIdx.x * kPieceWarps + threadIdx.x / kWarpLanes;
}

inline uint32_t BlocksOfPieces(size_t num_pieces) { return BlocksFor(num_pieces, kPieceWarps); }

}  // namespace tally::cuda

#endif  // TALLY_KERNELS_CUDA_SIGN_TILE_CU_H_
