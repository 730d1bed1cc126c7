// The two shapes in which the sign kernels see a chunk: its bits and its segments.
#ifndef TALLY_KERNELS_SIGN_BLOCK_H_
#define TALLY_KERNELS_SIGN_BLOCK_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace tally {

// Where the segments of a chunk end: `ends[k]` is one past the last element of segment k. Strictly
// increasing; the last one is the chunk's number of elements. Segments may start and end anywhere,
// also inside a byte of a bitmap.
using SegmentEnds = absl::Span<const uint32_t>;

// Bytes of a bitmap over `num_elements` elements.
constexpr size_t BitmapBytes(size_t num_elements) { return (num_elements + 7) / 8; }

// A chunk compressed to signs: element i of segment k stands for +scales[k] if its bit is 1, else
// for -scales[k]. Does not own its memory.
struct SignBlock {
  // [BitmapBytes(num_elements)] element i is bit i % 8 of byte i / 8, least significant first. Any
  // alignment.
  absl::Span<const uint8_t> bits;
  // [num_segments] finite, not negative.
  absl::Span<const float> scales;
};

}  // namespace tally

#endif  // TALLY_KERNELS_SIGN_BLOCK_H_
