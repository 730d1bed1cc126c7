#include "codecs/sign_relay_codec.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace tally {
namespace {

absl::Status CheckPadding(absl::Span<const uint8_t> padding, size_t block) {
  for (size_t i = 0; i < padding.size(); ++i) {
    if (padding[i] == 0) continue;
    return absl::InvalidArgumentError(absl::StrCat("`payload.blocks[", block, "].padding[", i,
                                                   "]` = ", padding[i], ", must be 0"));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<SignBlock> SignRelayBlocks(absl::Span<const uint8_t> payload, size_t num_elements,
                                       size_t num_segments) {
  const size_t block_bytes = SignRelayBlockBytes(num_elements, num_segments);
  std::vector<SignBlock> blocks;
  blocks.reserve(payload.size() / block_bytes);
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
    const absl::Status status =
        DecodeSign(block.first(sign_bytes), num_elements, num_segments).status();
    if (!status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat("`payload.blocks[", n, "]`: ", status.message()));
    }
    TALLY_RETURN_IF_ERROR(CheckPadding(block.subspan(sign_bytes), n));
  }
  return SignRelayBlocks(payload, num_elements, num_segments);
}

}  // namespace tally
