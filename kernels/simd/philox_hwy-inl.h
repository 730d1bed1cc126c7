// Philox4x32-10 in vectors: the words of a tile. Once per target.
#if defined(TALLY_KERNELS_SIMD_PHILOX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TALLY_KERNELS_SIMD_PHILOX_INL_H_
#undef TALLY_KERNELS_SIMD_PHILOX_INL_H_
#else
#define TALLY_KERNELS_SIMD_PHILOX_INL_H_
#endif

#include "base/philox.h"
#include "hwy/highway.h"
#include "kernels/simd/tile_hwy-inl.h"

#if TALLY_SIMD_HAS_VECTORS
HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using WordTag = hn::RebindToUnsigned<FloatTag>;
using WordVector = hn::Vec<WordTag>;

// Both halves of the 32 x 32 bit products of the lanes. `factor` has the same value in all lanes.
struct WideProduct {
  WordVector high;
  WordVector low;
};

HWY_INLINE WideProduct MulWide(WordVector x, WordVector factor) {
  const hn::RepartitionToWide<WordTag> wide;
  const WordTag tag;
  const auto even = hn::MulEven(x, factor);
  const auto odd_lanes = hn::BitCast(tag, hn::ShiftRight<32>(hn::BitCast(wide, x)));
  const auto odd = hn::MulEven(odd_lanes, factor);
  const auto odd_high = hn::BitCast(tag, hn::And(odd, hn::Set(wide, uint64_t{0xffffffff00000000})));
  const auto even_low =
      hn::BitCast(tag, hn::And(even, hn::Set(wide, uint64_t{0x00000000ffffffff})));
  return {hn::Or(hn::BitCast(tag, hn::ShiftRight<32>(even)), odd_high),
          hn::Or(even_low, hn::BitCast(tag, hn::ShiftLeft<32>(odd)))};
}

// Writes the words of elements [offset, offset + 4 * kLanes) to `words`, aligned.
HWY_INLINE void FillWords(const DrawStream& stream, uint64_t offset, uint32_t* words) {
  const WordTag tag;
  const uint64_t quad = (stream.first_element + offset) / 4;
  const auto low = static_cast<uint32_t>(quad);
  if (low > UINT32_MAX - kLanes) {
    // The lanes' counters would carry into the upper half, once in 2^34 elements.
    for (size_t i = 0; i < 4 * kLanes; ++i) words[i] = stream.WordAt(offset + i);
    return;
  }
  WordVector counter0 = hn::Iota(tag, low);
  WordVector counter1 = hn::Set(tag, static_cast<uint32_t>(quad >> 32));
  WordVector counter2 = hn::Set(tag, static_cast<uint32_t>(stream.round));
  WordVector counter3 = hn::Set(tag, static_cast<uint32_t>(stream.round >> 32));
  auto key0 = static_cast<uint32_t>(stream.key);
  auto key1 = static_cast<uint32_t>(stream.key >> 32);
  const WordVector multiplier0 = hn::Set(tag, 0xd2511f53u);
  const WordVector multiplier1 = hn::Set(tag, 0xcd9e8d57u);
  for (int round = 0; round < 10; ++round) {
    const WideProduct product0 = MulWide(counter0, multiplier0);
    const WideProduct product1 = MulWide(counter2, multiplier1);
    counter0 = hn::Xor(hn::Xor(product1.high, counter1), hn::Set(tag, key0));
    counter1 = product1.low;
    counter2 = hn::Xor(hn::Xor(product0.high, counter3), hn::Set(tag, key1));
    counter3 = product0.low;
    key0 += 0x9e3779b9u;
    key1 += 0xbb67ae85u;
  }
  hn::StoreInterleaved4(counter0, counter1, counter2, counter3, tag, words);
}

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // TALLY_SIMD_HAS_VECTORS

#endif  // TALLY_KERNELS_SIMD_PHILOX_INL_H_
