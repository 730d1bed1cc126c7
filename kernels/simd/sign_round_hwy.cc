#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/live_mask.h"
#include "kernels/scalar/signs.h"
#include "kernels/simd/bit_window.h"
#include "kernels/simd/sign_terms.h"
#include "kernels/simd/signs.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/sign_round_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "kernels/simd/block_norm_hwy-inl.h"
#include "kernels/simd/sign_sum_hwy-inl.h"
#include "kernels/simd/tile_hwy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

#if TALLY_SIMD_HAS_VECTORS

// First pass over whole tiles: residual = sum / divisor + residual, and its norm. `live` is null if
// all elements live.
template <bool kMasked, ScaleRule kRule>
HWY_INLINE void AddMeansAs(absl::Span<const SignTerm> terms, float divisor, const uint8_t* live,
                           size_t num_tiles, float* residual, BlockNorm<kRule>& block_norm) {
  const FloatTag tag;
  const FloatVector divisors = hn::Set(tag, divisor);
  BlockNorm<kRule> norm = block_norm;
  for (size_t t = 0; t < num_tiles; ++t) {
    Tile tile = SumOfTerms(terms, t * kTileBytes);
    float* const tile_residual = residual + t * kTileElements;
    ForEachVector([&](auto j) HWY_ATTR {
      FloatVector a =
          hn::Add(hn::Div(tile.vectors[j], divisors), hn::LoadU(tag, tile_residual + j * kLanes));
      if constexpr (kMasked) a = hn::IfThenElseZero(LoadMask(live + t * kTileBytes, j), a);
      hn::StoreU(a, tag, tile_residual + j * kLanes);
      tile.vectors[j] = a;
    });
    norm.Add(tile);
  }
  block_norm = norm;
}

template <ScaleRule kRule>
void AddMeans(absl::Span<const SignTerm> terms, float divisor, const uint8_t* live,
              size_t num_tiles, float* residual, BlockNorm<kRule>& norm) {
  if (live == nullptr) {
    AddMeansAs<false>(terms, divisor, live, num_tiles, residual, norm);
  } else {
    AddMeansAs<true>(terms, divisor, live, num_tiles, residual, norm);
  }
}

// Second pass over whole tiles: bits = !(residual < 0), residual -= the signed scale. `live` as
// above.
template <bool kMasked>
HWY_INLINE void TakeSignsAs(float scale, const uint8_t* live, size_t num_tiles, float* residual,
                            uint8_t* bits) {
  const FloatTag tag;
  const FloatVector scales = hn::Set(tag, scale);
  const FloatVector negated = hn::Neg(scales);
  for (size_t t = 0; t < num_tiles; ++t) {
    float* const tile_residual = residual + t * kTileElements;
    FloatMask masks[kTileVectors];
    ForEachVector([&](auto j) HWY_ATTR {
      const FloatVector a = hn::LoadU(tag, tile_residual + j * kLanes);
      masks[j] = hn::Not(hn::Lt(a, hn::Zero(tag)));
      FloatVector rest = hn::Sub(a, hn::IfThenElse(masks[j], scales, negated));
      if constexpr (kMasked) rest = hn::IfThenElseZero(LoadMask(live + t * kTileBytes, j), rest);
      hn::StoreU(rest, tag, tile_residual + j * kLanes);
    });
    StoreMasks(masks, bits + t * kTileBytes);
  }
}

void TakeSigns(float scale, const uint8_t* live, size_t num_tiles, float* residual, uint8_t* bits) {
  if (live == nullptr) {
    TakeSignsAs<false>(scale, live, num_tiles, residual, bits);
  } else {
    TakeSignsAs<true>(scale, live, num_tiles, residual, bits);
  }
}

// Bits of whole tiles: !(x < 0).
void PackTiles(const float* x, size_t num_tiles, uint8_t* bits) {
  for (size_t t = 0; t < num_tiles; ++t) {
    FloatMask masks[kTileVectors];
    ForEachVector([&](auto j) HWY_ATTR {
      const FloatVector a = hn::LoadU(FloatTag(), x + t * kTileElements + j * kLanes);
      masks[j] = hn::Not(hn::Lt(a, hn::Zero(FloatTag())));
    });
    StoreMasks(masks, bits + t * kTileBytes);
  }
}

// One call of SignRound.
template <ScaleRule kRule>
class SignRounder {
 public:
  explicit SignRounder(const SignRoundArgs& args)
      : args_(args), terms_(args.blocks, kBlockElements) {}

  void Run() {
    size_t begin = 0;
    for (size_t segment = 0; segment < args_.segment_ends.size(); ++segment) {
      const size_t end = args_.segment_ends[segment];
      double norm = 0.0;
      ForEachBlock(begin, end, [&](size_t block_begin, size_t block_end) {
        norm += FirstPass(segment, block_begin, block_end);
      });
      const float scale = ScaleFromNorm(kRule, norm, CountLive(args_.live, begin, end));
      args_.scales[segment] = scale;
      ForEachBlock(begin, end, [&](size_t block_begin, size_t block_end) {
        SecondPass(scale, block_begin, block_end);
      });
      begin = end;
    }
  }

 private:
  template <typename Function>
  static void ForEachBlock(size_t begin, size_t end, Function function) {
    for (; begin < end; begin = std::min(begin + kBlockElements, end)) {
      function(begin, std::min(begin + kBlockElements, end));
    }
  }

  double FirstPass(size_t segment, size_t begin, size_t end) {
    BlockNorm<kRule> norm;
    const size_t num_tiles = (end - begin) / kTileElements;
    const size_t tail_begin = begin + num_tiles * kTileElements;
    if (num_tiles > 0) {
      terms_.MoveTo(segment, begin, tail_begin - begin);
      AddMeans(terms_.terms(), args_.divisor, LiveFrom(begin, tail_begin), num_tiles,
               args_.residual.data() + begin, norm);
    }
    if (tail_begin < end) {
      terms_.MoveToPadded(segment, tail_begin, end - tail_begin);
      OnPaddedTail(tail_begin, end, [&](float* residual) {
        AddMeans(terms_.terms(), args_.divisor, live_window_, 1, residual, norm);
      });
    }
    return norm.Fold();
  }

  void SecondPass(float scale, size_t begin, size_t end) {
    const size_t num_tiles = (end - begin) / kTileElements;
    const size_t tail_begin = begin + num_tiles * kTileElements;
    if (num_tiles > 0) {
      const bool in_place = begin % 8 == 0;
      TakeSigns(scale, LiveFrom(begin, tail_begin), num_tiles, args_.residual.data() + begin,
                in_place ? args_.bits.data() + begin / 8 : bits_window_);
      if (!in_place) PutBits(bits_window_, begin, tail_begin - begin, args_.bits);
    }
    if (tail_begin < end) {
      OnPaddedTail(tail_begin, end, [&](float* residual) {
        TakeSigns(scale, live_window_, 1, residual, bits_window_);
      });
      PutBits(bits_window_, tail_begin, end - tail_begin, args_.bits);
    }
  }

  const uint8_t* LiveFrom(size_t begin, size_t end) {
    if (args_.live.empty()) return nullptr;
    return BitsFrom(args_.live, begin, end - begin, live_window_);
  }

  // Fewer elements than a tile: calls function(residual) on a copy padded with elements that
  // `live_window_` masks.
  template <typename Function>
  void OnPaddedTail(size_t begin, size_t end, Function function) {
    alignas(64) float residual[kTileElements] = {};
    std::copy(args_.residual.begin() + begin, args_.residual.begin() + end, residual);
    CopyLive(args_.live, begin, end - begin, kTileElements, live_window_);
    function(residual);
    std::copy(residual, residual + (end - begin), args_.residual.begin() + begin);
  }

  const SignRoundArgs& args_;
  SignTerms terms_;
  uint8_t live_window_[kWindowBytes];
  uint8_t bits_window_[kWindowBytes];
};

void SignRoundOf(const SignRoundArgs& args) {
  if (args.rule == ScaleRule::kRootMeanSquare) {
    SignRounder<ScaleRule::kRootMeanSquare>(args).Run();
  } else {
    SignRounder<ScaleRule::kMeanMagnitude>(args).Run();
  }
}

void PackSignsOf(absl::Span<const float> x, absl::Span<uint8_t> bits) {
  const size_t num_tiles = x.size() / kTileElements;
  PackTiles(x.data(), num_tiles, bits.data());
  scalar::PackSigns(x.subspan(num_tiles * kTileElements), bits.subspan(num_tiles * kTileBytes));
}

#else

void SignRoundOf(const SignRoundArgs& args) { scalar::SignRound(args); }

void PackSignsOf(absl::Span<const float> x, absl::Span<uint8_t> bits) {
  scalar::PackSigns(x, bits);
}

#endif

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tally::simd {

HWY_EXPORT(SignRoundOf);
HWY_EXPORT(PackSignsOf);

void SignRound(const SignRoundArgs& args) { HWY_DYNAMIC_DISPATCH(SignRoundOf)(args); }

void PackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits) {
  HWY_DYNAMIC_DISPATCH(PackSignsOf)(x, bits);
}

}  // namespace tally::simd
#endif  // HWY_ONCE
