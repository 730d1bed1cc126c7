// A tile: the run of elements that the sign kernels hold in registers at a time, and its bits. Once
// per target.
#ifndef TALLY_KERNELS_SIMD_TILE_ONCE_
#define TALLY_KERNELS_SIMD_TILE_ONCE_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

// False for the targets without vectors of a known size; there the scalar back end's functions are
// called.
#define TALLY_SIMD_HAS_VECTORS \
  (HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128 && !HWY_HAVE_SCALABLE)

namespace tally::simd {

// The unit of Backend::SumOfSquares' order: partial sums are folded after as many elements.
inline constexpr size_t kBlockElements = 4096;

// Bits of a window over one block.
inline constexpr size_t kWindowBytes = kBlockElements / 8;

}  // namespace tally::simd

#endif  // TALLY_KERNELS_SIMD_TILE_ONCE_

#if defined(TALLY_KERNELS_SIMD_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TALLY_KERNELS_SIMD_TILE_INL_H_
#undef TALLY_KERNELS_SIMD_TILE_INL_H_
#else
#define TALLY_KERNELS_SIMD_TILE_INL_H_
#endif

#include "hwy/highway.h"

#if TALLY_SIMD_HAS_VECTORS
HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVector = hn::Vec<FloatTag>;
using FloatMask = hn::Mask<FloatTag>;

inline constexpr size_t kLanes = hn::MaxLanes(FloatTag());
// Enough independent additions to hide the latency of one.
inline constexpr size_t kTileVectors = 8;
inline constexpr size_t kTileElements = kTileVectors * kLanes;
inline constexpr size_t kTileBytes = kTileElements / 8;

template <typename Function, size_t... kIndices>
HWY_INLINE void UnrollOver(std::index_sequence<kIndices...>, const Function& function) {
  (function(std::integral_constant<size_t, kIndices>()), ...);
}

// Calls function(j) for each vector j of a tile, unrolled: -O2 would keep a loop, and with it the
// vectors in memory.
template <typename Function>
HWY_INLINE void ForEachVector(const Function& function) {
  UnrollOver(std::make_index_sequence<kTileVectors>(), function);
}

// The registers of a tile.
struct Tile {
  FloatVector vectors[kTileVectors];
};

// Mask of vector `j` of a tile: lane i is bit j * kLanes + i of `tile_bits` [kTileBytes].
HWY_INLINE FloatMask LoadMask(const uint8_t* tile_bits, size_t j) {
  if constexpr (kLanes >= 16) {
    return hn::LoadMaskBits(FloatTag(), tile_bits + j * kLanes / 8);
  } else {
    // A word serves several vectors, each of which picks its own bits: LoadMaskBits has no half
    // bytes.
    static constexpr uint32_t kBits[32] = {
        1u << 0,  1u << 1,  1u << 2,  1u << 3,  1u << 4,  1u << 5,  1u << 6,  1u << 7,
        1u << 8,  1u << 9,  1u << 10, 1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15,
        1u << 16, 1u << 17, 1u << 18, 1u << 19, 1u << 20, 1u << 21, 1u << 22, 1u << 23,
        1u << 24, 1u << 25, 1u << 26, 1u << 27, 1u << 28, 1u << 29, 1u << 30, 1u << 31};
    const hn::RebindToUnsigned<FloatTag> tag;
    uint32_t word;
    std::memcpy(&word, tile_bits + j * kLanes / 32 * sizeof(word), sizeof(word));
    const auto own_bits = hn::LoadU(tag, kBits + j * kLanes % 32);
    return hn::RebindMask(FloatTag(), hn::TestBit(hn::Set(tag, word), own_bits));
  }
}

// The opposite of LoadMask for a whole tile.
HWY_INLINE void StoreMasks(const FloatMask (&masks)[kTileVectors], uint8_t* tile_bits) {
  if constexpr (kLanes >= 8) {
    ForEachVector([&](auto j) HWY_ATTR {
      hn::StoreMaskBits(FloatTag(), masks[j], tile_bits + j * kLanes / 8);
    });
  } else {
    UnrollOver(std::make_index_sequence<kTileVectors / 2>(), [&](auto pair) HWY_ATTR {
      uint8_t low;
      uint8_t high;
      hn::StoreMaskBits(FloatTag(), masks[2 * pair], &low);
      hn::StoreMaskBits(FloatTag(), masks[2 * pair + 1], &high);
      tile_bits[pair] = static_cast<uint8_t>(low | high << 4);
    });
  }
}

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // TALLY_SIMD_HAS_VECTORS

#endif  // TALLY_KERNELS_SIMD_TILE_INL_H_
