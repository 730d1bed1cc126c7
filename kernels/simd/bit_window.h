// Moves runs of bits between a bitmap and a window that starts at a byte boundary, because segments
// may start inside a byte and vectors may not.
#ifndef TALLY_KERNELS_SIMD_BIT_WINDOW_H_
#define TALLY_KERNELS_SIMD_BIT_WINDOW_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace tally::simd {

// Copies bits [begin, begin + num_bits) of `bits` to bits [0, num_bits) of `window`
// [BitmapBytes(num_bits)]. What the last byte of the window holds beyond them is unspecified. The
// memory may not overlap.
void CopyBits(absl::Span<const uint8_t> bits, size_t begin, size_t num_bits, uint8_t* window);

// Copies bits [0, num_bits) of `window` to bits [begin, begin + num_bits) of `bits`. Bits before
// `begin` stay; the rest of the last byte written becomes 0, so a bitmap is written from its front.
// The memory may not overlap.
void PutBits(const uint8_t* window, size_t begin, size_t num_bits, absl::Span<uint8_t> bits);

// Returns where bits [begin, begin + num_bits) of `bits` start a byte: in place if they do so
// there, else in `window`, to which they are copied.
const uint8_t* BitsFrom(absl::Span<const uint8_t> bits, size_t begin, size_t num_bits,
                        uint8_t* window);

// Writes a bitmap of `window_bits` bits (a multiple of 8) to `window`: bit i is bit begin + i of
// `live` (1 if `live` is empty) for i < num_bits, then 0.
void CopyLive(absl::Span<const uint8_t> live, size_t begin, size_t num_bits, size_t window_bits,
              uint8_t* window);

}  // namespace tally::simd

#endif  // TALLY_KERNELS_SIMD_BIT_WINDOW_H_
