#include "codecs/vote_codec.h"

#include <bit>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace tally {
namespace {

absl::Status CheckBytes(absl::Span<const uint8_t> payload, size_t expected_bytes) {
  if (payload.size() == expected_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("`payload` has ", payload.size(), " bytes, must have ", expected_bytes));
}

// Of the bitmap that ends with byte `last_byte`.
absl::Status CheckUnusedBits(absl::Span<const uint8_t> payload, size_t last_byte,
                             size_t num_elements) {
  const size_t used_bits = num_elements % 8;
  if (used_bits == 0 || payload[last_byte] >> used_bits == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("`payload[%d]` = 0x%02x, must have only its lower %d bits set (%d elements)",
                      last_byte, payload[last_byte], used_bits, num_elements));
}

uint32_t CountAt(absl::Span<const uint8_t> planes, size_t plane_bytes, size_t element) {
  uint32_t count = 0;
  for (size_t plane = 0; plane * plane_bytes < planes.size(); ++plane) {
    const uint32_t bit = (planes[plane * plane_bytes + element / 8] >> (element % 8)) & 1;
    count |= bit << plane;
  }
  return count;
}

}  // namespace

absl::Status ValidateVotes(absl::Span<const uint8_t> payload, size_t num_elements) {
  TALLY_RETURN_IF_ERROR(CheckBytes(payload, VotePayloadBytes(num_elements)));
  return CheckUnusedBits(payload, payload.size() - 1, num_elements);
}

absl::Status ValidateCounts(absl::Span<const uint8_t> payload, size_t num_elements,
                            uint32_t num_participants) {
  TALLY_RETURN_IF_ERROR(CheckBytes(payload, CountsPayloadBytes(num_elements, num_participants)));
  const size_t plane_bytes = BitmapBytes(num_elements);
  const size_t num_planes = CountPlanes(num_participants);
  for (size_t plane = 0; plane < num_planes; ++plane) {
    TALLY_RETURN_IF_ERROR(CheckUnusedBits(payload, (plane + 1) * plane_bytes - 1, num_elements));
  }
  // Compares eight counts at a time with the limit, from the highest plane down: a count is above
  // it where it has a one and the limit a zero, and all planes above are equal.
  for (size_t byte = 0; byte < plane_bytes; ++byte) {
    uint8_t equal = 0xff;
    uint8_t above = 0;
    for (size_t plane = num_planes; plane-- > 0;) {
      const uint8_t bits = payload[plane * plane_bytes + byte];
      const bool limit_bit = ((num_participants >> plane) & 1) != 0;
      if (!limit_bit) above = static_cast<uint8_t>(above | (equal & bits));
      equal = static_cast<uint8_t>(equal & (limit_bit ? bits : ~bits));
    }
    if (above == 0) continue;
    const size_t element = byte * 8 + static_cast<size_t>(std::countr_zero(above));
    return absl::InvalidArgumentError(
        absl::StrCat("`payload.counts[", element, "]` = ", CountAt(payload, plane_bytes, element),
                     ", must be at most ", num_participants, ", the participants"));
  }
  return absl::OkStatus();
}

}  // namespace tally
