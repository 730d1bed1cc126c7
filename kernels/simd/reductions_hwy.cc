#include <algorithm>
#include <cstddef>
#include <limits>

#include "kernels/scalar/reductions.h"
#include "kernels/simd/reductions.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/reductions_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "kernels/simd/block_norm_hwy-inl.h"
#include "kernels/simd/tile_hwy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

#if TALLY_SIMD_HAS_VECTORS

HWY_INLINE Tile LoadTile(const float* x) {
  Tile tile;
  ForEachVector([&](auto j) HWY_ATTR { tile.vectors[j] = hn::LoadU(FloatTag(), x + j * kLanes); });
  return tile;
}

template <ScaleRule kRule>
double Norm(absl::Span<const float> x) {
  double total = 0.0;
  for (size_t begin = 0; begin < x.size(); begin += kBlockElements) {
    const size_t end = std::min(begin + kBlockElements, x.size());
    BlockNorm<kRule> norm;
    size_t i = begin;
    for (; i + kTileElements <= end; i += kTileElements) norm.Add(LoadTile(x.data() + i));
    if (i < end) {
      alignas(64) float tail[kTileElements] = {};
      std::copy(x.begin() + i, x.begin() + end, tail);
      norm.Add(LoadTile(tail));
    }
    total += norm.Fold();
  }
  return total;
}

double SumOfSquaresOf(absl::Span<const float> x) { return Norm<ScaleRule::kRootMeanSquare>(x); }

double SumOfMagnitudesOf(absl::Span<const float> x) { return Norm<ScaleRule::kMeanMagnitude>(x); }

double DotProductOf(absl::Span<const float> x, absl::Span<const float> y) {
  double total = 0.0;
  for (size_t begin = 0; begin < x.size(); begin += kBlockElements) {
    const size_t end = std::min(begin + kBlockElements, x.size());
    BlockNorm<ScaleRule::kRootMeanSquare> sum;
    size_t i = begin;
    for (; i + kTileElements <= end; i += kTileElements) {
      sum.AddProducts(x.data() + i, y.data() + i);
    }
    if (i < end) {
      alignas(64) float tail_x[kTileElements] = {};
      alignas(64) float tail_y[kTileElements] = {};
      std::copy(x.begin() + i, x.begin() + end, tail_x);
      std::copy(y.begin() + i, y.begin() + end, tail_y);
      sum.AddProducts(tail_x, tail_y);
    }
    total += sum.Fold();
  }
  return total;
}

bool AllWithinOf(absl::Span<const float> x, float bound) {
  // What is not finite is beyond every finite bound. A bound that is NaN stays one: nothing is
  // within it.
  const float finite_bound = std::min(bound, std::numeric_limits<float>::max());
  const FloatVector limit = hn::Set(FloatTag(), finite_bound);
  size_t i = 0;
  for (; i + kTileElements <= x.size(); i += kTileElements) {
    const Tile tile = LoadTile(x.data() + i);
    FloatMask within = hn::Le(hn::Abs(tile.vectors[0]), limit);
    ForEachVector([&](auto j) HWY_ATTR {
      within = hn::And(within, hn::Le(hn::Abs(tile.vectors[j]), limit));
    });
    if (!hn::AllTrue(FloatTag(), within)) return false;
  }
  return scalar::AllWithin(x.subspan(i), bound);
}

#else

double SumOfSquaresOf(absl::Span<const float> x) { return scalar::SumOfSquares(x); }

double SumOfMagnitudesOf(absl::Span<const float> x) { return scalar::SumOfMagnitudes(x); }

double DotProductOf(absl::Span<const float> x, absl::Span<const float> y) {
  return scalar::DotProduct(x, y);
}

bool AllWithinOf(absl::Span<const float> x, float bound) { return scalar::AllWithin(x, bound); }

#endif

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tally::simd {

HWY_EXPORT(SumOfSquaresOf);
HWY_EXPORT(SumOfMagnitudesOf);
HWY_EXPORT(DotProductOf);
HWY_EXPORT(AllWithinOf);

double SumOfSquares(absl::Span<const float> x) { return HWY_DYNAMIC_DISPATCH(SumOfSquaresOf)(x); }

double SumOfMagnitudes(absl::Span<const float> x) {
  return HWY_DYNAMIC_DISPATCH(SumOfMagnitudesOf)(x);
}

double DotProduct(absl::Span<const float> x, absl::Span<const float> y) {
  return HWY_DYNAMIC_DISPATCH(DotProductOf)(x, y);
}

bool AllWithin(absl::Span<const float> x, float bound) {
  return HWY_DYNAMIC_DISPATCH(AllWithinOf)(x, bound);
}

}  // namespace tally::simd
#endif  // HWY_ONCE
