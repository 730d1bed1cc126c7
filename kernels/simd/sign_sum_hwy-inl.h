// The sum of several participants' signed scales over a tile. Once per target.
#include "absl/types/span.h"
#include "kernels/simd/sign_terms.h"
#include "kernels/simd/tile_hwy-inl.h"

#if defined(TALLY_KERNELS_SIMD_SIGN_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TALLY_KERNELS_SIMD_SIGN_SUM_INL_H_
#undef TALLY_KERNELS_SIMD_SIGN_SUM_INL_H_
#else
#define TALLY_KERNELS_SIMD_SIGN_SUM_INL_H_
#endif

#include "hwy/highway.h"

#if TALLY_SIMD_HAS_VECTORS
HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

// Returns the sum over `terms` (at least one), in their order, for the tile whose bits start at
// byte `offset_bytes` of each term. The tile stays in registers while the participants pass.
HWY_INLINE Tile SumOfTerms(absl::Span<const SignTerm> terms, size_t offset_bytes) {
  Tile tile;
  const FloatVector first_scale = hn::Set(FloatTag(), terms[0].scale);
  const FloatVector first_negated = hn::Neg(first_scale);
  const uint8_t* const first_bits = terms[0].bits + offset_bytes;
  ForEachVector([&](auto j) HWY_ATTR {
    tile.vectors[j] = hn::IfThenElse(LoadMask(first_bits, j), first_scale, first_negated);
  });
  for (const SignTerm& term : terms.subspan(1)) {
    const FloatVector scale = hn::Set(FloatTag(), term.scale);
    const FloatVector negated = hn::Neg(scale);
    const uint8_t* const bits = term.bits + offset_bytes;
    ForEachVector([&](auto j) HWY_ATTR {
      tile.vectors[j] = hn::Add(tile.vectors[j], hn::IfThenElse(LoadMask(bits, j), scale, negated));
    });
  }
  return tile;
}

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // TALLY_SIMD_HAS_VECTORS

#endif  // TALLY_KERNELS_SIMD_SIGN_SUM_INL_H_
