// Philox4x32-10 in vectors. Once per target.
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
// A 32-bit word in the lower half of each lane. The upper half is whatever the arithmetic left.
using WideTag = hn::RepartitionToWide<WordTag>;
using WideVector = hn::Vec<WideTag>;

// Quads in a wide vector.
inline constexpr size_t kWideLanes = hn::MaxLanes(WideTag());
// Elements that Draw makes words for: two wide vectors of quads, so that one hides the latency of
// the other.
inline constexpr size_t kDrawnElements = 2 * 4 * kWideLanes;

// The product of the lower half of each lane with that of the factor's, which is the same in all.
HWY_INLINE WideVector MulLower(WideVector x, WordVector factor) {
  return hn::MulEven(hn::BitCast(WordTag(), x), factor);
}

// The words of four elements in every lane: word k of its quad in `words[k]`.
struct DrawnQuads {
  WideVector words[4];
};

// Draws the words of one stream.
class WordDrawer {
 public:
  explicit WordDrawer(const DrawStream& stream) : first_quad_(stream.first_element / 4) {
    const WideTag tag;
    auto key0 = static_cast<uint32_t>(stream.key);
    auto key1 = static_cast<uint32_t>(stream.key >> 32);
    const uint64_t product = uint64_t{kMultiplier1} * static_cast<uint32_t>(stream.round);
    started_[0] = (product >> 32) ^ key0;
    started_[1] = product;
    started_[2] = (stream.round >> 32) ^ key1;
    for (size_t round = 0; round < kRounds; ++round) {
      hn::Store(hn::Set(tag, key0), tag, keys_[2 * round]);
      hn::Store(hn::Set(tag, key1), tag, keys_[2 * round + 1]);
      key0 += 0x9e3779b9u;
      key1 += 0xbb67ae85u;
    }
    for (size_t lane = 0; lane < kWideLanes; ++lane) {
      interleaved_[lane] = lane / 2 + lane % 2 * (kWideLanes / 2);
    }
  }

  // Draws for the elements from `offset`, a multiple of 4, on: lane i of a vector has quad i of
  // `quads` from there.
  HWY_INLINE void Draw(uint64_t offset, WideVector quads0, WideVector quads1, DrawnQuads& drawn0,
                       DrawnQuads& drawn1) const {
    const WideTag tag;
    const WideVector first = hn::Set(tag, first_quad_ + offset / 4);
    Start(hn::Add(first, quads0), drawn0);
    Start(hn::Add(first, quads1), drawn1);
    MixFrom<1>(drawn0, drawn1);
  }

  // Writes the words of elements [offset, offset + kDrawnElements) to `words`, aligned.
  HWY_INLINE void Write(uint64_t offset, uint32_t* words) const {
    const WideTag tag;
    const WideVector quads = hn::Load(tag, interleaved_);
    DrawnQuads drawn[2];
    Draw(offset, quads, hn::Add(quads, hn::Set(tag, kWideLanes)), drawn[0], drawn[1]);
    for (size_t v = 0; v < 2; ++v) {
      const WideVector lower = Join(drawn[v].words[0], drawn[v].words[1]);
      const WideVector upper = Join(drawn[v].words[2], drawn[v].words[3]);
      auto* const target = reinterpret_cast<uint64_t*>(words + v * 4 * kWideLanes);
      hn::Store(hn::InterleaveLower(tag, lower, upper), tag, target);
      hn::Store(hn::InterleaveUpper(tag, lower, upper), tag, target + kWideLanes);
    }
  }

 private:
  static constexpr size_t kRounds = 10;
  static constexpr uint32_t kMultiplier0 = 0xd2511f53;
  static constexpr uint32_t kMultiplier1 = 0xcd9e8d57;

  // The first of the rounds. All but the quads is the same in every lane.
  HWY_INLINE void Start(WideVector quads, DrawnQuads& counter) const {
    const WideTag tag;
    WideVector(&words)[4] = counter.words;
    const WideVector product = MulLower(quads, hn::Set(WordTag(), kMultiplier0));
    words[0] = hn::Xor(hn::ShiftRight<32>(quads), hn::Set(tag, started_[0]));
    words[1] = hn::Set(tag, started_[1]);
    words[2] = hn::Xor(hn::ShiftRight<32>(product), hn::Set(tag, started_[2]));
    words[3] = product;
  }

  // The rounds from the given one on, written out: a loop would move its words about.
  template <size_t kRound>
  HWY_INLINE void MixFrom(DrawnQuads& counter0, DrawnQuads& counter1) const {
    const WideTag tag;
    const WideVector key0 = hn::Load(tag, keys_[2 * kRound]);
    const WideVector key1 = hn::Load(tag, keys_[2 * kRound + 1]);
    Mix(key0, key1, counter0);
    Mix(key0, key1, counter1);
    if constexpr (kRound + 1 < kRounds) MixFrom<kRound + 1>(counter0, counter1);
  }

  static HWY_INLINE void Mix(WideVector key0, WideVector key1, DrawnQuads& counter) {
    const WordTag tag;
    WideVector(&words)[4] = counter.words;
    const WideVector product0 = MulLower(words[0], hn::Set(tag, kMultiplier0));
    const WideVector product1 = MulLower(words[2], hn::Set(tag, kMultiplier1));
    words[0] = hn::Xor(hn::Xor(words[1], key0), hn::ShiftRight<32>(product1));
    words[1] = product1;
    words[2] = hn::Xor(hn::Xor(words[3], key1), hn::ShiftRight<32>(product0));
    words[3] = product0;
  }

  static HWY_INLINE WideVector Join(WideVector lower, WideVector upper) {
    const WordTag tag;
    return hn::BitCast(WideTag(), hn::OddEven(hn::BitCast(tag, hn::ShiftLeft<32>(upper)),
                                              hn::BitCast(tag, lower)));
  }

  const uint64_t first_quad_;
  // What words 0 to 2 have after the first round, but for what follows from the quad.
  uint64_t started_[3];
  // The two keys of every round.
  alignas(64) uint64_t keys_[2 * kRounds][kWideLanes];
  // The quads of lanes that come into order where two vectors are interleaved: lower halves of the
  // blocks first.
  alignas(64) uint64_t interleaved_[kWideLanes];
};

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // TALLY_SIMD_HAS_VECTORS

#endif  // TALLY_KERNELS_SIMD_PHILOX_INL_H_
