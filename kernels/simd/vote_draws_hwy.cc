#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/types/span.h"
#include "kernels/scalar/votes.h"
#include "kernels/simd/votes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/vote_draws_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "kernels/simd/philox_hwy-inl.h"
#include "kernels/simd/tile_hwy-inl.h"
#include "kernels/simd/vote_planes_hwy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

#if TALLY_SIMD_HAS_VECTORS

// The counts of more voters do not fit into bytes.
inline constexpr size_t kMaxByteVoters = 255;
static_assert(kDrawnElements == kByteLanes, "a vector of bytes has a byte per drawn element");

// The counts of as many elements as a vector has bytes, from byte `offset` of the planes on.
HWY_INLINE ByteVector ByteCountsOf(const BlockPlanes& planes, size_t num_planes, size_t offset) {
  const ByteTag tag;
  ByteVector counts = hn::Zero(tag);
  for (size_t p = num_planes; p > 0; --p) {
    const auto ones = hn::LoadMaskBits(tag, planes.bytes[p - 1] + offset);
    // A mask is -1.
    counts = hn::Sub(hn::Add(counts, counts), hn::VecFromMask(tag, ones));
  }
  return counts;
}

// ScaleTo(word, n) of the elements at hand, a byte each, for n up to 255.
class ByteScaler {
 public:
  explicit ByteScaler(uint32_t n) : n_(n) {}

  HWY_INLINE ByteVector Scale(const WordDrawer& drawer, uint64_t offset) const {
    const WideTag tag;
    const WordTag word_tag;
    // Even and odd quads, whose bytes are then the halves of a wide lane.
    const WideVector even = hn::Mul(hn::Iota(tag, 0), hn::Set(tag, 2));
    DrawnQuads evens;
    DrawnQuads odds;
    drawer.Draw(offset, even, hn::Add(even, hn::Set(tag, 1)), evens, odds);
    const WideVector lower = hn::ShiftRight<32>(Bytes(evens));
    return hn::BitCast(
        ByteTag(), hn::OddEven(hn::BitCast(word_tag, Bytes(odds)), hn::BitCast(word_tag, lower)));
  }

 private:
  // The bytes of a quad in the upper half of its lane: a factor of n << 8 k puts that of word k
  // into its place, above what the others leave there.
  HWY_INLINE WideVector Bytes(const DrawnQuads& quads) const {
    const WordTag tag;
    const auto scaled = [&](size_t k) HWY_ATTR {
      return hn::BitCast(ByteTag(), MulLower(quads.words[k], hn::Set(tag, n_ << (8 * k))));
    };
    const hn::Repartition<uint16_t, FloatTag> pairs;
    const auto low = hn::BitCast(pairs, hn::OddEven(scaled(1), scaled(0)));
    const auto high = hn::BitCast(pairs, hn::OddEven(scaled(3), scaled(2)));
    return hn::BitCast(WideTag(), hn::OddEven(high, low));
  }

  const uint32_t n_;
};

// Writes the bits of every block, whose votes are counted: elect(planes, first byte of the block,
// its size, elected) decides them.
template <typename Elect>
HWY_INLINE void ForEachBlock(Ballots ballots, size_t num_elements, absl::Span<uint8_t> bits,
                             const Elect& elect) {
  BlockPlanes planes;
  uint8_t elected[kBlockBytes];
  for (size_t begin = 0; begin < bits.size(); begin += kBlockBytes) {
    const size_t size = std::min(kBlockBytes, bits.size() - begin);
    CountBlock(ballots, begin, size, planes);
    elect(planes, begin, size, elected);
    std::memcpy(bits.data() + begin, elected, size);
  }
  // What the padding elected.
  const size_t used_bits = num_elements % 8;
  if (used_bits != 0) bits.back() &= static_cast<uint8_t>((1u << used_bits) - 1);
}

// Decides every element from its count and its word scaled to `n`, a byte each: decide(counts,
// scaled) gives the mask of ones.
template <typename Decide>
HWY_INLINE void ElectByBytes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                             uint32_t n, absl::Span<uint8_t> bits, const Decide& decide) {
  const WordDrawer drawer(draws);
  const ByteScaler scaler(n);
  const size_t num_planes = CountPlanes(static_cast<uint32_t>(ballots.size()));
  ForEachBlock(ballots, num_elements, bits,
               [&](const BlockPlanes& planes, size_t begin, size_t size, uint8_t* elected)
                   HWY_ATTR {
                     for (size_t i = 0; i < size; i += kByteLanes / 8) {
                       const ByteVector scaled = scaler.Scale(drawer, 8 * (begin + i));
                       const auto ones = decide(ByteCountsOf(planes, num_planes, i), scaled);
                       hn::StoreMaskBits(ByteTag(), ones, elected + i);
                     }
                   });
}

// The same from counts and words as they are, for any number of voters.
template <typename Decide>
HWY_INLINE void ElectByWords(Ballots ballots, size_t num_elements, const DrawStream& draws,
                             absl::Span<uint8_t> bits, const Decide& decide) {
  const WordDrawer drawer(draws);
  const size_t num_planes = CountPlanes(static_cast<uint32_t>(ballots.size()));
  ForEachBlock(ballots, num_elements, bits,
               [&](const BlockPlanes& planes, size_t begin, size_t size, uint8_t* elected)
                   HWY_ATTR {
                     alignas(64) uint32_t words[kTileElements];
                     for (size_t tile = 0; tile * kTileBytes < size; ++tile) {
                       const size_t first = 8 * (begin + tile * kTileBytes);
                       for (size_t i = 0; i < kTileElements; i += kDrawnElements) {
                         drawer.Write(first + i, words + i);
                       }
                       FloatMask ones[kTileVectors];
                       ForEachVector([&](auto j) HWY_ATTR {
                         const WordVector counts = WordCountsOf(planes, num_planes, tile, j);
                         const WordVector drawn = hn::Load(WordTag(), words + j * kLanes);
                         ones[j] = hn::RebindMask(FloatTag(), decide(counts, drawn));
                       });
                       StoreMasks(ones, elected + tile * kTileBytes);
                     }
                   });
}

// ScaleTo of each lane.
HWY_INLINE WordVector ScaleLanes(WordVector words, WordVector n) {
  const WideVector odd_words = hn::ShiftRight<32>(hn::BitCast(WideTag(), words));
  const WideVector even = hn::ShiftRight<32>(hn::MulEven(words, n));
  const WideVector odd = MulLower(odd_words, n);
  return hn::OddEven(hn::BitCast(WordTag(), odd), hn::BitCast(WordTag(), even));
}

void DrawVotesOf(Ballots ballots, size_t num_elements, const DrawStream& draws,
                 absl::Span<uint8_t> bits) {
  const auto num_voters = static_cast<uint32_t>(ballots.size());
  if (num_voters <= kMaxByteVoters) {
    ElectByBytes(ballots, num_elements, draws, num_voters, bits,
                 [](auto counts, auto scaled) HWY_ATTR { return hn::Lt(scaled, counts); });
    return;
  }
  const WordVector n = hn::Set(WordTag(), num_voters);
  ElectByWords(ballots, num_elements, draws, bits, [&](auto counts, auto words) HWY_ATTR {
    return hn::Lt(ScaleLanes(words, n), counts);
  });
}

void MajorityVotesOf(Ballots ballots, size_t num_elements, const DrawStream& draws,
                     absl::Span<uint8_t> bits) {
  const auto num_voters = static_cast<uint32_t>(ballots.size());
  // In a tie the word's top bit is added. No count of an odd number of votes is a tie.
  const uint32_t half = num_voters / 2;
  const uint32_t tie_breaker = num_voters % 2 == 0 ? 1 : 0;
  if (num_voters <= kMaxByteVoters) {
    const ByteVector byte_half = hn::Set(ByteTag(), static_cast<uint8_t>(half));
    const ByteVector byte_breaker = hn::Set(ByteTag(), static_cast<uint8_t>(tie_breaker));
    // A word scaled to 2 is its top bit.
    ElectByBytes(ballots, num_elements, draws, 2, bits, [&](auto counts, auto scaled) HWY_ATTR {
      return hn::Gt(hn::Add(counts, hn::And(scaled, byte_breaker)), byte_half);
    });
    return;
  }
  const WordVector word_half = hn::Set(WordTag(), half);
  const WordVector word_breaker = hn::Set(WordTag(), tie_breaker);
  ElectByWords(ballots, num_elements, draws, bits, [&](auto counts, auto words) HWY_ATTR {
    const WordVector top_bit = hn::ShiftRight<31>(words);
    return hn::Gt(hn::Add(counts, hn::And(top_bit, word_breaker)), word_half);
  });
}

#else

void DrawVotesOf(Ballots ballots, size_t num_elements, const DrawStream& draws,
                 absl::Span<uint8_t> bits) {
  ScalarVotes().DrawVotes(ballots, num_elements, draws, bits).IgnoreError();
}

void MajorityVotesOf(Ballots ballots, size_t num_elements, const DrawStream& draws,
                     absl::Span<uint8_t> bits) {
  ScalarVotes().MajorityVotes(ballots, num_elements, draws, bits).IgnoreError();
}

#endif

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tally {
namespace simd {

HWY_EXPORT(DrawVotesOf);
HWY_EXPORT(MajorityVotesOf);

}  // namespace simd

void SimdVotes::DoDrawVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                            absl::Span<uint8_t> bits) const {
  HWY_DYNAMIC_DISPATCH(simd::DrawVotesOf)(ballots, num_elements, draws, bits);
}

void SimdVotes::DoMajorityVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                                absl::Span<uint8_t> bits) const {
  HWY_DYNAMIC_DISPATCH(simd::MajorityVotesOf)
  (ballots, num_elements, draws, bits);
}

}  // namespace tally
#endif  // HWY_ONCE
