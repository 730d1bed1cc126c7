// Payload of a sign exchange.
//
//   offset            bytes                    content
//   0                 4 * num_segments         scales of the segments in order, fp32 little-endian
//   4 * num_segments  ceil(num_elements / 8)   bits: element i is bit i % 8 of byte i / 8; 1 is +1
//
// Scales are finite, not negative (-0 is refused) and at most kMaxMagnitude; unused bits of the
// last byte are 0.
#ifndef TALLY_CODECS_SIGN_CODEC_H_
#define TALLY_CODECS_SIGN_CODEC_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/sign_block.h"

namespace tally {

constexpr size_t SignPayloadBytes(size_t num_elements, size_t num_segments) {
  return num_segments * sizeof(float) + BitmapBytes(num_elements);
}

// The two parts of a payload that is to be filled.
struct SignPayloadParts {
  absl::Span<float> scales;  // [num_segments]
  absl::Span<uint8_t> bits;  // [BitmapBytes(num_elements)]
};

// Both views share `payload`'s memory: [SignPayloadBytes(num_elements, num_segments)] bytes on a
// 4-byte boundary.
SignPayloadParts SignPartsOf(absl::Span<uint8_t> payload, size_t num_elements, size_t num_segments);
SignBlock SignBlockOf(absl::Span<const uint8_t> payload, size_t num_elements, size_t num_segments);

// Checks bytes from outside and returns a view of them. `payload` starts on a 4-byte boundary.
// Returns INVALID_ARGUMENT if the length is not SignPayloadBytes(num_elements, num_segments), a
// scale breaks its rule (the message names its index), or an unused bit is 1.
absl::StatusOr<SignBlock> DecodeSign(absl::Span<const uint8_t> payload, size_t num_elements,
                                     size_t num_segments);

}  // namespace tally

#endif  // TALLY_CODECS_SIGN_CODEC_H_
