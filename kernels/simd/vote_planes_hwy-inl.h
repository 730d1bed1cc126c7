// Counts of votes as bit planes, block by block. Once per target.
#if defined(TALLY_KERNELS_SIMD_VOTE_PLANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TALLY_KERNELS_SIMD_VOTE_PLANES_INL_H_
#undef TALLY_KERNELS_SIMD_VOTE_PLANES_INL_H_
#else
#define TALLY_KERNELS_SIMD_VOTE_PLANES_INL_H_
#endif

#include <algorithm>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/simd/tile_hwy-inl.h"
#include "kernels/vote_kernels.h"

#if TALLY_SIMD_HAS_VECTORS
HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

using ByteTag = hn::Repartition<uint8_t, FloatTag>;
using ByteVector = hn::Vec<ByteTag>;

inline constexpr size_t kByteLanes = hn::MaxLanes(ByteTag());
// Bitmaps are worked on in blocks of as many bytes, so that few of them are read at a time: equally
// aligned ones get into each other's way in the caches. The last block may be shorter and is padded
// with zeros.
inline constexpr size_t kBlockBytes = 1024;
// Planes of the largest roster.
inline constexpr size_t kMaxPlanes = 17;

// Bit planes of the counts of one block.
struct BlockPlanes {
  alignas(64) uint8_t bytes[kMaxPlanes][kBlockBytes];
};

// Adds three bits of a weight: the sum stays in `sum`, the carry is returned.
HWY_INLINE ByteVector AddBits(ByteVector& sum, ByteVector a, ByteVector b) {
  const ByteVector either = hn::Xor(sum, a);
  const ByteVector carry = hn::Or(hn::And(sum, a), hn::And(either, b));
  sum = hn::Xor(either, b);
  return carry;
}

// Adds `carry` to vector v of the planes from `first` up to the last that a count can have by then.
HWY_INLINE void AddCarry(ByteVector carry, size_t v, size_t first, size_t num_planes,
                         BlockPlanes& planes) {
  const ByteTag tag;
  for (size_t p = first; p < num_planes; ++p) {
    uint8_t* const plane = planes.bytes[p] + v * kByteLanes;
    const ByteVector sum = hn::Load(tag, plane);
    hn::Store(hn::Xor(sum, carry), tag, plane);
    carry = hn::And(sum, carry);
  }
}

// Adds vector v of eight ballots at once: a tree of adders, whose one carry goes on to the planes
// above.
HWY_INLINE void AddEight(const uint8_t* const* ballots, size_t v, size_t num_planes,
                         BlockPlanes& planes) {
  const ByteTag tag;
  const auto vote = [&](size_t n) HWY_ATTR { return hn::LoadU(tag, ballots[n] + v * kByteLanes); };
  ByteVector sums[3];
  for (size_t p = 0; p < 3; ++p) sums[p] = hn::Load(tag, planes.bytes[p] + v * kByteLanes);
  const ByteVector twos0 = AddBits(sums[0], vote(0), vote(1));
  const ByteVector twos1 = AddBits(sums[0], vote(2), vote(3));
  const ByteVector fours0 = AddBits(sums[1], twos0, twos1);
  const ByteVector twos2 = AddBits(sums[0], vote(4), vote(5));
  const ByteVector twos3 = AddBits(sums[0], vote(6), vote(7));
  const ByteVector fours1 = AddBits(sums[1], twos2, twos3);
  const ByteVector eights = AddBits(sums[2], fours0, fours1);
  for (size_t p = 0; p < 3; ++p) hn::Store(sums[p], tag, planes.bytes[p] + v * kByteLanes);
  AddCarry(eights, v, 3, num_planes, planes);
}

// Counts bytes [begin, begin + size) of all ballots, at most kBlockBytes. What follows them in the
// planes, up to the end of a vector, counts padding.
HWY_INLINE void CountBlock(Ballots ballots, size_t begin, size_t size, BlockPlanes& planes) {
  const ByteTag tag;
  // AddEight looks at three planes, whatever the number of voters.
  const size_t num_cleared =
      std::max<size_t>(3, CountPlanes(static_cast<uint32_t>(ballots.size())));
  std::memset(planes.bytes, 0, num_cleared * kBlockBytes);
  const size_t num_vectors = (size + kByteLanes - 1) / kByteLanes;
  alignas(64) uint8_t padded[8][kBlockBytes];
  const uint8_t* eight[8];
  for (size_t n = 0; n < ballots.size(); n += 8) {
    const size_t num_ballots = std::min<size_t>(8, ballots.size() - n);
    for (size_t k = 0; k < num_ballots; ++k) {
      eight[k] = ballots[n + k].data() + begin;
      if (size % kByteLanes == 0) continue;
      std::memset(padded[k], 0, num_vectors * kByteLanes);
      std::memcpy(padded[k], eight[k], size);
      eight[k] = padded[k];
    }
    const size_t num_planes = CountPlanes(static_cast<uint32_t>(n + num_ballots));
    for (size_t v = 0; v < num_vectors; ++v) {
      if (num_ballots == 8) {
        AddEight(eight, v, num_planes, planes);
        continue;
      }
      for (size_t k = 0; k < num_ballots; ++k) {
        AddCarry(hn::LoadU(tag, eight[k] + v * kByteLanes), v, 0, num_planes, planes);
      }
    }
  }
}

// The counts of vector j of a tile, from the planes of its block.
HWY_INLINE hn::Vec<hn::RebindToUnsigned<FloatTag>> WordCountsOf(const BlockPlanes& planes,
                                                                size_t num_planes, size_t tile,
                                                                size_t j) {
  const hn::RebindToUnsigned<FloatTag> tag;
  auto counts = hn::Zero(tag);
  for (size_t p = 0; p < num_planes; ++p) {
    const auto mask = hn::RebindMask(tag, LoadMask(planes.bytes[p] + tile * kTileBytes, j));
    counts = hn::Or(counts, hn::IfThenElseZero(mask, hn::Set(tag, uint32_t{1} << p)));
  }
  return counts;
}

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // TALLY_SIMD_HAS_VECTORS

#endif  // TALLY_KERNELS_SIMD_VOTE_PLANES_INL_H_
