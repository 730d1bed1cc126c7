// The 32 partial sums of a norm, held in registers. Once per target.
#include <cmath>

#include "kernels/backend.h"
#include "kernels/simd/tile_hwy-inl.h"

#if defined(TALLY_KERNELS_SIMD_BLOCK_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TALLY_KERNELS_SIMD_BLOCK_NORM_INL_H_
#undef TALLY_KERNELS_SIMD_BLOCK_NORM_INL_H_
#else
#define TALLY_KERNELS_SIMD_BLOCK_NORM_INL_H_
#endif

#include "hwy/highway.h"

#if TALLY_SIMD_HAS_VECTORS
HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

// Norm of one block (kBlockElements, the last one fewer) in the order of Backend::SumOfSquares: add
// its tiles in order, the last one padded with zeros, which change no sum; then fold once.
template <ScaleRule kRule>
class BlockNorm {
 public:
  HWY_INLINE BlockNorm() {
    UnrollOver(std::make_index_sequence<kNumVectors>(),
               [&](auto k) HWY_ATTR { partials_[k] = hn::Zero(DoubleTag()); });
  }

  HWY_INLINE void Add(const Tile& tile) {
    ForEachVector([&](auto j) HWY_ATTR {
      constexpr size_t kLow = j * kLanes % kNumPartials / kDoubleLanes;
      const FloatVector x = tile.vectors[j];
      AddTerm(partials_[kLow], hn::PromoteTo(DoubleTag(), hn::LowerHalf(x)));
      AddTerm(partials_[kLow + 1], hn::PromoteTo(DoubleTag(), hn::UpperHalf(HalfTag(), x)));
    });
  }

  // Adds the products of a tile of `x` and one of `y`, each [kTileElements], instead.
  HWY_INLINE void AddProducts(const float* x, const float* y) {
    ForEachVector([&](auto j) HWY_ATTR {
      constexpr size_t kLow = j * kLanes % kNumPartials / kDoubleLanes;
      const FloatVector a = hn::LoadU(FloatTag(), x + j * kLanes);
      const FloatVector b = hn::LoadU(FloatTag(), y + j * kLanes);
      AddProduct(partials_[kLow], hn::LowerHalf(a), hn::LowerHalf(b));
      AddProduct(partials_[kLow + 1], hn::UpperHalf(HalfTag(), a), hn::UpperHalf(HalfTag(), b));
    });
  }

  HWY_INLINE double Fold() const {
    alignas(64) double sums[kNumPartials];
    UnrollOver(std::make_index_sequence<kNumVectors>(), [&](auto k) HWY_ATTR {
      hn::Store(partials_[k], DoubleTag(), sums + k * kDoubleLanes);
    });
    for (size_t half = kNumPartials / 2; half > 0; half /= 2) {
      for (size_t k = 0; k < half; ++k) sums[k] += sums[k + half];
    }
    return sums[0];
  }

 private:
  using DoubleTag = hn::ScalableTag<double>;
  using DoubleVector = hn::Vec<DoubleTag>;
  using HalfTag = hn::Half<FloatTag>;

  static constexpr size_t kNumPartials = 32;
  static constexpr size_t kDoubleLanes = kLanes / 2;
  static constexpr size_t kNumVectors = kNumPartials / kDoubleLanes;

  static HWY_INLINE void AddTerm(DoubleVector& partial, DoubleVector x) {
    if constexpr (kRule == ScaleRule::kRootMeanSquare) {
      partial = hn::Add(partial, hn::Mul(x, x));
    } else {
      partial = hn::Add(partial, hn::Abs(x));
    }
  }

  static HWY_INLINE void AddProduct(DoubleVector& partial, hn::Vec<HalfTag> a, hn::Vec<HalfTag> b) {
    partial =
        hn::Add(partial, hn::Mul(hn::PromoteTo(DoubleTag(), a), hn::PromoteTo(DoubleTag(), b)));
  }

  DoubleVector partials_[kNumVectors];
};

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // TALLY_SIMD_HAS_VECTORS

#endif  // TALLY_KERNELS_SIMD_BLOCK_NORM_INL_H_
