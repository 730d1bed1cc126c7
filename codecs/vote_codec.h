// Payloads of a vote exchange.
//
//   up, and down for DRAWN and MAJORITY:   BitmapBytes(num_elements) bytes
//     element i is bit i % 8 of byte i / 8
//   down for COUNTS:   CountPlanes(num_participants) * BitmapBytes(num_elements) bytes
//     plane p, a bitmap, holds bit p of every element's number of ones
//
// Unused bits of the last byte of a bitmap are 0; no count is above num_participants.
#ifndef TALLY_CODECS_VOTE_CODEC_H_
#define TALLY_CODECS_VOTE_CODEC_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/sign_block.h"
#include "kernels/vote_kernels.h"

namespace tally {

constexpr size_t VotePayloadBytes(size_t num_elements) { return BitmapBytes(num_elements); }

constexpr size_t CountsPayloadBytes(size_t num_elements, uint32_t num_participants) {
  return CountPlanes(num_participants) * BitmapBytes(num_elements);
}

// Check bytes from outside, of any alignment.
// Return INVALID_ARGUMENT if the length is another one or a bit is set that may not be; the message
// names the first such byte or element.
absl::Status ValidateVotes(absl::Span<const uint8_t> payload, size_t num_elements);
absl::Status ValidateCounts(absl::Span<const uint8_t> payload, size_t num_elements,
                            uint32_t num_participants);

}  // namespace tally

#endif  // TALLY_CODECS_VOTE_CODEC_H_
