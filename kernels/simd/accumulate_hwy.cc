#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/scalar/signs.h"
#include "kernels/simd/bit_window.h"
#include "kernels/simd/signs.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/accumulate_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "kernels/simd/block_norm_hwy-inl.h"
#include "kernels/simd/tile_hwy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

#if TALLY_SIMD_HAS_VECTORS

// Whole tiles of one block.
struct AccumulateTiles {
  float* sum;
  const float* input;
  const uint8_t* counted;  // null if nothing leaves
  float counted_scale;
  const uint8_t* live;  // null if all elements live
  size_t num_tiles;
};

template <bool kCounted, bool kMasked, ScaleRule kRule>
HWY_INLINE void AddTilesAs(const AccumulateTiles& tiles, BlockNorm<kRule>& block_norm) {
  const FloatTag tag;
  const FloatVector scale = hn::Set(tag, tiles.counted_scale);
  const FloatVector negated = hn::Neg(scale);
  BlockNorm<kRule> norm = block_norm;
  for (size_t t = 0; t < tiles.num_tiles; ++t) {
    float* const sum = tiles.sum + t * kTileElements;
    const float* const input = tiles.input + t * kTileElements;
    Tile tile;
    ForEachVector([&](auto j) HWY_ATTR {
      FloatVector a = hn::LoadU(tag, sum + j * kLanes);
      if constexpr (kCounted) {
        const FloatMask positive = LoadMask(tiles.counted + t * kTileBytes, j);
        a = hn::Sub(a, hn::IfThenElse(positive, scale, negated));
      }
      a = hn::Add(a, hn::LoadU(tag, input + j * kLanes));
      if constexpr (kMasked) {
        a = hn::IfThenElseZero(LoadMask(tiles.live + t * kTileBytes, j), a);
      }
      hn::StoreU(a, tag, sum + j * kLanes);
      tile.vectors[j] = a;
    });
    norm.Add(tile);
  }
  block_norm = norm;
}

template <ScaleRule kRule>
void AddTiles(const AccumulateTiles& tiles, BlockNorm<kRule>& norm) {
  if (tiles.counted == nullptr) {
    if (tiles.live == nullptr) return AddTilesAs<false, false>(tiles, norm);
    return AddTilesAs<false, true>(tiles, norm);
  }
  if (tiles.live == nullptr) return AddTilesAs<true, false>(tiles, norm);
  return AddTilesAs<true, true>(tiles, norm);
}

// Fewer elements than a tile: the same on a copy that is padded with masked elements.
template <ScaleRule kRule>
void AddTail(const AccumulateArgs& args, size_t segment, size_t begin, size_t end,
             BlockNorm<kRule>& norm) {
  alignas(64) float sum[kTileElements] = {};
  alignas(64) float input[kTileElements] = {};
  uint8_t counted[kTileBytes] = {};
  uint8_t live[kTileBytes];
  AccumulateTiles tiles = {sum, input, nullptr, 0.0f, live, 1};
  std::copy(args.sum.begin() + begin, args.sum.begin() + end, sum);
  std::copy(args.input.begin() + begin, args.input.begin() + end, input);
  CopyLive(args.live, begin, end - begin, kTileElements, live);
  if (!args.counted.bits.empty()) {
    CopyBits(args.counted.bits, begin, end - begin, counted);
    tiles.counted = counted;
    tiles.counted_scale = args.counted.scales[segment];
  }
  AddTiles(tiles, norm);
  std::copy(sum, sum + (end - begin), args.sum.begin() + begin);
}

template <ScaleRule kRule>
double AccumulateBlock(const AccumulateArgs& args, size_t segment, size_t begin, size_t end) {
  BlockNorm<kRule> norm;
  const size_t num_tiles = (end - begin) / kTileElements;
  const size_t tail_begin = begin + num_tiles * kTileElements;
  if (num_tiles > 0) {
    uint8_t counted_window[kWindowBytes];
    uint8_t live_window[kWindowBytes];
    AccumulateTiles tiles = {
        args.sum.data() + begin, args.input.data() + begin, nullptr, 0.0f, nullptr, num_tiles};
    if (!args.counted.bits.empty()) {
      tiles.counted = BitsFrom(args.counted.bits, begin, tail_begin - begin, counted_window);
      tiles.counted_scale = args.counted.scales[segment];
    }
    if (!args.live.empty()) {
      tiles.live = BitsFrom(args.live, begin, tail_begin - begin, live_window);
    }
    AddTiles(tiles, norm);
  }
  if (tail_begin < end) AddTail(args, segment, tail_begin, end, norm);
  return norm.Fold();
}

template <ScaleRule kRule>
void AccumulateWith(const AccumulateArgs& args) {
  size_t begin = 0;
  for (size_t segment = 0; segment < args.segment_ends.size(); ++segment) {
    const size_t end = args.segment_ends[segment];
    double norm = 0.0;
    for (; begin < end; begin = std::min(begin + kBlockElements, end)) {
      norm += AccumulateBlock<kRule>(args, segment, begin, std::min(begin + kBlockElements, end));
    }
    args.norms[segment] = norm;
  }
}

void AccumulateOf(const AccumulateArgs& args) {
  if (args.rule == ScaleRule::kRootMeanSquare) {
    AccumulateWith<ScaleRule::kRootMeanSquare>(args);
  } else {
    AccumulateWith<ScaleRule::kMeanMagnitude>(args);
  }
}

#else

void AccumulateOf(const AccumulateArgs& args) { scalar::Accumulate(args); }

#endif

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tally::simd {

HWY_EXPORT(AccumulateOf);

void Accumulate(const AccumulateArgs& args) { HWY_DYNAMIC_DISPATCH(AccumulateOf)(args); }

}  // namespace tally::simd
#endif  // HWY_ONCE
