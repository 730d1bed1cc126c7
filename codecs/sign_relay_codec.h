// Results of a sign-relay exchange: the participants' sign payloads (sign_codec.h), one after the
// other in the order of the roster, each padded with zeros to a multiple of 4 bytes, so that all
// scales lie on 4-byte boundaries.
#ifndef TALLY_CODECS_SIGN_RELAY_CODEC_H_
#define TALLY_CODECS_SIGN_RELAY_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "codecs/sign_codec.h"
#include "kernels/sign_block.h"

namespace tally {

// Bytes of one participant's payload in the result.
constexpr size_t SignRelayBlockBytes(size_t num_elements, size_t num_segments) {
  return (SignPayloadBytes(num_elements, num_segments) + 3) / 4 * 4;
}

// The blocks of a checked result; they share its memory.
std::vector<SignBlock> SignRelayBlocks(absl::Span<const uint8_t> payload, size_t num_elements,
                                       size_t num_segments);

// Checks bytes from outside, on a 4-byte boundary.
// Returns INVALID_ARGUMENT if the length is not that of `num_participants` blocks, padding is not
// zero, or a block breaks a rule of DecodeSign; the message names the block.
absl::StatusOr<std::vector<SignBlock>> DecodeSignRelay(absl::Span<const uint8_t> payload,
                                                       size_t num_elements, size_t num_segments,
                                                       size_t num_participants);

}  // namespace tally

#endif  // TALLY_CODECS_SIGN_RELAY_CODEC_H_
