#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/scalar/signs.h"
#include "kernels/simd/bit_window.h"
#include "kernels/simd/sign_terms.h"
#include "kernels/simd/signs.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/sum_signs_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "kernels/simd/sign_sum_hwy-inl.h"
#include "kernels/simd/tile_hwy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

#if TALLY_SIMD_HAS_VECTORS

// Sums `num_tiles` tiles. `live` is null if all elements live.
template <bool kMasked>
void SumTiles(absl::Span<const SignTerm> terms, const uint8_t* live, size_t num_tiles, float* out) {
  for (size_t t = 0; t < num_tiles; ++t) {
    const Tile tile = SumOfTerms(terms, t * kTileBytes);
    float* const tile_out = out + t * kTileElements;
    ForEachVector([&](auto j) HWY_ATTR {
      FloatVector sum = tile.vectors[j];
      if constexpr (kMasked) sum = hn::IfThenElseZero(LoadMask(live + t * kTileBytes, j), sum);
      hn::StoreU(sum, FloatTag(), tile_out + j * kLanes);
    });
  }
}

void SumSignsOf(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
                absl::Span<const uint8_t> live, absl::Span<float> out) {
  SignTerms terms(blocks, kBlockElements);
  uint8_t live_window[kWindowBytes];
  size_t begin = 0;
  for (size_t segment = 0; segment < segment_ends.size(); ++segment) {
    const size_t end = segment_ends[segment];
    while (end - begin >= kTileElements) {
      const size_t num_tiles = std::min(end - begin, kBlockElements) / kTileElements;
      const size_t num_elements = num_tiles * kTileElements;
      terms.MoveTo(segment, begin, num_elements);
      if (live.empty()) {
        SumTiles<false>(terms.terms(), nullptr, num_tiles, out.data() + begin);
      } else {
        SumTiles<true>(terms.terms(), BitsFrom(live, begin, num_elements, live_window), num_tiles,
                       out.data() + begin);
      }
      begin += num_elements;
    }
    if (begin < end) {
      alignas(64) float tail[kTileElements];
      terms.MoveToPadded(segment, begin, end - begin);
      CopyLive(live, begin, end - begin, kTileElements, live_window);
      SumTiles<true>(terms.terms(), live_window, 1, tail);
      std::copy(tail, tail + (end - begin), out.begin() + begin);
      begin = end;
    }
  }
}

#else

void SumSignsOf(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
                absl::Span<const uint8_t> live, absl::Span<float> out) {
  scalar::SumSigns(blocks, segment_ends, live, out);
}

#endif

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tally::simd {

HWY_EXPORT(SumSignsOf);

void SumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
              absl::Span<const uint8_t> live, absl::Span<float> out) {
  HWY_DYNAMIC_DISPATCH(SumSignsOf)(blocks, segment_ends, live, out);
}

}  // namespace tally::simd
#endif  // HWY_ONCE
