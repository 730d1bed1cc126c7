#include "codecs/sign_codec.h"

#include <bit>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "codecs/limits.h"

namespace tally {
namespace {

static_assert(std::endian::native == std::endian::little, "scales are read where they lie");

// Floats from +0 up order like their bit patterns; those of negative ones (-0 among them), infinity
// and NaN lie above kMaxMagnitude's.
bool IsScale(float value) {
  return std::bit_cast<uint32_t>(value) <= std::bit_cast<uint32_t>(kMaxMagnitude);
}

}  // namespace

SignPayloadParts SignPartsOf(absl::Span<uint8_t> payload, size_t num_elements,
                             size_t num_segments) {
  return {{reinterpret_cast<float*>(payload.data()), num_segments},
          payload.subspan(num_segments * sizeof(float), BitmapBytes(num_elements))};
}

SignBlock SignBlockOf(absl::Span<const uint8_t> payload, size_t num_elements, size_t num_segments) {
  return {.bits = payload.subspan(num_segments * sizeof(float), BitmapBytes(num_elements)),
          .scales = {reinterpret_cast<const float*>(payload.data()), num_segments}};
}

absl::StatusOr<SignBlock> DecodeSign(absl::Span<const uint8_t> payload, size_t num_elements,
                                     size_t num_segments) {
  if (payload.size() != SignPayloadBytes(num_elements, num_segments)) {
    return absl::InvalidArgumentError(
        absl::StrCat("`payload` has ", payload.size(), " bytes, must have ",
                     SignPayloadBytes(num_elements, num_segments), " (", num_segments,
                     " scales and ", num_elements, " bits)"));
  }
  const SignBlock block = SignBlockOf(payload, num_elements, num_segments);
  for (size_t k = 0; k < num_segments; ++k) {
    if (!IsScale(block.scales[k])) {
      return absl::InvalidArgumentError(absl::StrCat(
          "`payload.scales[", k, "]` = ", block.scales[k], ", must be from +0 to 2^64"));
    }
  }
  const size_t used_bits = num_elements % 8;
  if (used_bits != 0 && block.bits.back() >> used_bits != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("`payload.bits[%d]` = 0x%02x, must have only its lower %d bits set (%d "
                        "elements)",
                        block.bits.size() - 1, block.bits.back(), used_bits, num_elements));
  }
  return block;
}

}  // namespace tally
