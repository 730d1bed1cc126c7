#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "kernels/scalar/sketches.h"
#include "kernels/simd/bit_window.h"
#include "kernels/simd/sketches.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/select_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "kernels/simd/tile_hwy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

#if TALLY_SIMD_HAS_VECTORS

using KeyTag = hn::RebindToUnsigned<FloatTag>;
using KeyVector = hn::Vec<KeyTag>;

// Elements are compared by keys: 0 for what is masked, else 1 more than the 31 bits of the
// magnitude. The key of the last one chosen is found digit by digit: one pass over all elements
// counts the upper digits, another one finds those from that of the last one chosen up, which are
// few, and only among these the lower digits are counted.
inline constexpr uint32_t kLowDigitBits = 10;
inline constexpr uint32_t kNumLowDigits = 1 << kLowDigitBits;
inline constexpr uint32_t kTopShift = 2 * kLowDigitBits;
inline constexpr uint32_t kNumTopDigits = (0x80000000 >> kTopShift) + 1;

inline uint32_t KeyOfLive(float x) { return (std::bit_cast<uint32_t>(x) & 0x7fffffff) + 1; }

struct KeyTile {
  KeyVector vectors[kTileVectors];
};

// Calls visit(first element, keys) for every tile. Past the end of x all is masked.
template <typename Visit>
HWY_INLINE void ForEachKeyTile(absl::Span<const float> x, absl::Span<const uint8_t> live,
                               const Visit& visit) {
  const KeyTag tag;
  float tail[kTileElements] = {};
  uint8_t tail_live[kTileBytes];
  uint8_t all_live[kTileBytes];
  CopyLive({}, 0, kTileElements, kTileElements, all_live);
  // One call of `visit`, so that it becomes part of the loop.
  for (size_t i = 0; i < x.size(); i += kTileElements) {
    const float* elements = x.data() + i;
    const uint8_t* bits = live.empty() ? all_live : live.data() + i / 8;
    if (x.size() - i < kTileElements) {
      std::copy(x.begin() + i, x.end(), tail);
      CopyLive(live, i, x.size() - i, kTileElements, tail_live);
      elements = tail;
      bits = tail_live;
    }
    KeyTile keys;
    ForEachVector([&](auto j) HWY_ATTR {
      const FloatVector magnitude = hn::Abs(hn::LoadU(FloatTag(), elements + j * kLanes));
      const KeyVector key = hn::Add(hn::BitCast(tag, magnitude), hn::Set(tag, 1));
      keys.vectors[j] = hn::IfThenElseZero(hn::RebindMask(tag, LoadMask(bits, j)), key);
    });
    visit(i, keys);
  }
}

// counts[d] = number of keys with upper digit d, of which those past the end of x count as 0.
void CountTopDigits(absl::Span<const float> x, absl::Span<const uint8_t> live,
                    absl::Span<uint32_t> counts) {
  // Neighbours of the same digit would wait for each other: they count in different tables.
  static constexpr size_t kNumTables = 4;
  uint32_t tables[kNumTables][kNumTopDigits] = {};
  ForEachKeyTile(x, live, [&](size_t, const KeyTile& keys) HWY_ATTR {
    alignas(64) uint32_t digits[kTileElements];
    ForEachVector([&](auto j) HWY_ATTR {
      hn::Store(hn::ShiftRight<kTopShift>(keys.vectors[j]), KeyTag(), digits + j * kLanes);
    });
    for (size_t i = 0; i < kTileElements; i += kNumTables) {
      UnrollOver(std::make_index_sequence<kNumTables>(),
                 [&](auto table) { ++tables[table][digits[i + table]]; });
    }
  });
  for (uint32_t digit = 0; digit < kNumTopDigits; ++digit) {
    counts[digit] = 0;
    for (const auto& table : tables) counts[digit] += table[digit];
  }
}

// Writes the indices of the keys from `lowest` (above 0) up to `indices`; returns their number.
size_t FindKeys(absl::Span<const float> x, absl::Span<const uint8_t> live, uint32_t lowest,
                uint32_t* indices) {
  const KeyVector below = hn::Set(KeyTag(), lowest - 1);
  size_t num_found = 0;
  ForEachKeyTile(x, live, [&](size_t begin, const KeyTile& keys) HWY_ATTR {
    FloatMask found[kTileVectors];
    ForEachVector([&](auto j) HWY_ATTR {
      found[j] = hn::RebindMask(FloatTag(), hn::Gt(keys.vectors[j], below));
    });
    uint8_t bits[kTileBytes];
    StoreMasks(found, bits);
    for (size_t byte = 0; byte < kTileBytes; byte += sizeof(uint32_t)) {
      uint32_t word;
      std::memcpy(&word, bits + byte, sizeof(word));
      for (; word != 0; word &= word - 1) {
        indices[num_found++] = static_cast<uint32_t>(begin + byte * 8) + std::countr_zero(word);
      }
    }
  });
  return num_found;
}

// A digit, and the number of elements to choose among those that have it and the same upper ones.
struct LastDigit {
  uint32_t digit;
  size_t num_chosen;
};

// The digit of the last of `num_chosen` keys, the largest first.
LastDigit FindLastDigit(absl::Span<const uint32_t> counts, size_t num_chosen) {
  uint32_t digit = static_cast<uint32_t>(counts.size()) - 1;
  for (; num_chosen > counts[digit]; --digit) num_chosen -= counts[digit];
  return {digit, num_chosen};
}

void SelectLargestOf(absl::Span<const float> x, absl::Span<const uint8_t> live,
                     absl::Span<uint32_t> indices) {
  uint32_t top_counts[kNumTopDigits];
  CountTopDigits(x, live, absl::MakeSpan(top_counts));
  const LastDigit top = FindLastDigit(top_counts, indices.size());
  size_t most_found = 0;
  for (uint32_t digit = top.digit; digit < kNumTopDigits; ++digit) most_found += top_counts[digit];
  const auto found = std::make_unique_for_overwrite<uint32_t[]>(most_found);
  uint32_t last_key = top.digit << kTopShift;
  size_t num_last = top.num_chosen;
  const absl::Span<const uint32_t> candidates(
      found.get(), FindKeys(x, live, std::max(last_key, uint32_t{1}), found.get()));
  for (const uint32_t shift : {kLowDigitBits, uint32_t{0}}) {
    uint32_t counts[kNumLowDigits] = {};
    for (const uint32_t i : candidates) {
      // Equal above this digit: nothing is left of the difference.
      const uint32_t digit = (KeyOfLive(x[i]) - last_key) >> shift;
      if (digit < kNumLowDigits) ++counts[digit];
    }
    const LastDigit low = FindLastDigit(counts, num_last);
    last_key += low.digit << shift;
    num_last = low.num_chosen;
  }
  auto out = indices.begin();
  for (const uint32_t i : candidates) {
    const uint32_t key = KeyOfLive(x[i]);
    if (key < last_key || (key == last_key && num_last == 0)) continue;
    if (key == last_key) --num_last;
    *out++ = i;
  }
}

#else

void SelectLargestOf(absl::Span<const float> x, absl::Span<const uint8_t> live,
                     absl::Span<uint32_t> indices) {
  ScalarSketches().SelectLargest(x, live, indices).IgnoreError();
}

#endif

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tally {
namespace simd {

HWY_EXPORT(SelectLargestOf);

}  // namespace simd

void SimdSketches::DoSelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                                   absl::Span<uint32_t> indices) const {
  HWY_DYNAMIC_DISPATCH(simd::SelectLargestOf)(x, live, indices);
}

}  // namespace tally
#endif  // HWY_ONCE
