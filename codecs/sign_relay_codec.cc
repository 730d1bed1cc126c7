#include "codecs/sign_relay_codec.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tally {

std::vector<SignBlock> SignRelayBlocks(absl::Span<const uint8_t> payload, size_t num_elements,
                                       size_t num_segments) {
  const size_t block_bytes = SignRelayBlockBytes(num_elements, num_segments);
  std::vector<SignBlock> blocks;
  for (size_t offset = 0; offset < payload.size(); offset += block_bytes) {
    blocks.push_back(SignBlockOf(payload.subspan(offset), num_elements, num_segments));
  }
  return blocks;
}

absl::StatusOr<std::vector<SignBlock>> DecodeSignRelay(absl::Span<const uint8_t> payload,
                                                       size_t num_elements, size_t num_segments,
                                                       size_t num_participants) {
  const size_t block_bytes = SignRelayBlockBytes(num_elements, num_segments);
  if (payload.size() != num_participants * block_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`payload` has ", payload.size(), " bytes, must have ", num_participants * block_bytes,
        ", ", block_bytes, " for each of ", num_participants, " participants"));
  }
  const size_t sign_bytes = SignPayloadBytes(num_elements, num_segments);
  for (size_t n = 0; n < num_participants; ++n) {
    const absl::Span<const uint8_t> block = payload.subspan(n * block_bytes, block_bytes);
    absl::Status status = DecodeSign(block.first(sign_bytes), num_elements, num_segments).status();
    const absl::Span<const uint8_t> padding = block.subspan(sign_bytes);
    if (status.ok() &&
        !std::all_of(padding.begin(), padding.end(), [](uint8_t byte) { return byte == 0; })) {
      status = absl::InvalidArgumentError("`padding` must be zero");
    }
    if (!status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat("`payload.blocks[", n, "]`: ", status.message()));
    }
  }
  return SignRelayBlocks(payload, num_elements, num_segments);
}

}  // namespace tally
