// Some elements of a chunk, with or without values: the payloads of sparse exchanges, and the
// results of a sketch round's first half.
//
//   offset               bytes       content
//   0                    4           count, little-endian
//   4                    4 * count   values, fp32 little-endian, in the order of the elements; none
//                                    in a set without values
//   4 or 4 + 4 * count   the rest    the elements' indices: index_set_codec.h
//
// Values are finite and at most kMaxMagnitude in magnitude.
#ifndef TALLY_CODECS_SPARSE_CODEC_H_
#define TALLY_CODECS_SPARSE_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/buffer.h"

namespace tally {

// What a payload holds. `values` shares the payload's memory; empty in a set without values.
struct SparseBlock {
  std::vector<uint32_t> indices;  // strictly increasing
  absl::Span<const float> values;
};

// Bytes that no payload of at most `max_count` elements exceeds. `max_count` is at most
// num_elements.
size_t MaxSparsePayloadBytes(uint32_t num_elements, uint32_t max_count, bool with_values);

// How many elements a checked payload holds.
uint32_t SparseCountOf(absl::Span<const uint8_t> payload);

// `indices` are strictly increasing and below num_elements; `values` has as many, or none.
Buffer EncodeSparse(absl::Span<const uint32_t> indices, absl::Span<const float> values,
                    uint32_t num_elements);

// Checks bytes from outside, whole. `payload` starts on a 4-byte boundary.
// Returns INVALID_ARGUMENT, naming what is wrong and where, if the count is above `max_count`, the
// length does not fit it, a value breaks its rule, or as DecodeIndexSet.
absl::StatusOr<SparseBlock> DecodeSparse(absl::Span<const uint8_t> payload, uint32_t num_elements,
                                         uint32_t max_count, bool with_values);

}  // namespace tally

#endif  // TALLY_CODECS_SPARSE_CODEC_H_
