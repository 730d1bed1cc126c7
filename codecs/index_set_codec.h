// Sets of indices as bits: Golomb-Rice codes of their gaps.
//
// Of `count` increasing indices below `num_elements`, each is written as the number of elements
// skipped since the one before (gap = index - previous - 1; the first: gap = index), in a Rice code
// of parameter b: gap >> b zeros, a one, then the lower b bits of gap, least significant first.
// Bits fill bytes from the least significant one; the last byte is padded with zeros. b is the
// largest number with count << b <= num_elements * 11 / 16 (rounded down), at least 0. For sets
// drawn at random that is at most log2(num_elements / count) + 2 bits an index; unsorted or
// repeated indices cannot be written.
#ifndef TALLY_CODECS_INDEX_SET_CODEC_H_
#define TALLY_CODECS_INDEX_SET_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tally {

// b; `count` is at most num_elements, num_elements below 2^32. 0 for an empty set.
uint32_t IndexSetParameter(uint32_t num_elements, uint32_t count);

// Bytes that no set of at most this many indices exceeds.
size_t MaxIndexSetBytes(uint32_t num_elements, uint32_t max_count);

// Appends the code to `bytes`. `indices` are strictly increasing and below `num_elements`.
void AppendIndexSet(absl::Span<const uint32_t> indices, uint32_t num_elements,
                    std::vector<uint8_t>& bytes);

// Reads a code from outside that is exactly these bytes.
// Returns INVALID_ARGUMENT if an index would be num_elements or more, or the code is cut, longer
// than its indices need, or padded with ones; the message names the index at fault. Takes no more
// memory than `count` indices, nor than an index per bit; `count` is at most num_elements.
absl::StatusOr<std::vector<uint32_t>> DecodeIndexSet(absl::Span<const uint8_t> bytes,
                                                     uint32_t num_elements, uint32_t count);

}  // namespace tally

#endif  // TALLY_CODECS_INDEX_SET_CODEC_H_
