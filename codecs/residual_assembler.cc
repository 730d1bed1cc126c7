#include "codecs/residual_assembler.h"

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/status_macros.h"

namespace tally {

absl::Status ResidualAssembler::Append(uint32_t chunk, const v1::Slice& slice,
                                       absl::string_view piece) {
  if (assembler_.in_progress()) {
    if (chunk != chunk_) {
      return absl::InvalidArgumentError(
          absl::StrCat("`", field_, "` comes between the slices of chunk ", chunk_));
    }
    return assembler_.Continue(slice, BytesOf(piece));
  }
  if (chunk >= layout_->chunks().size()) {
    return absl::InvalidArgumentError(absl::StrCat("`", field_, ".chunk` must be less than ",
                                                   layout_->chunks().size(),
                                                   ", the layout's chunks"));
  }
  const uint64_t num_bytes = uint64_t{layout_->chunks()[chunk].num_elements} * sizeof(float);
  if (slice.total_bytes() != num_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", field_, ".slice.total_bytes` = ", slice.total_bytes(), ", must be ",
                     num_bytes, ", 4 for each element of the chunk"));
  }
  return assembler_.Begin(slice, BytesOf(piece), num_bytes);
}

absl::StatusOr<SharedBuffer> ResidualAssembler::Take(uint32_t chunk, const v1::Slice& slice,
                                                     uint64_t digest, absl::string_view piece) {
  TALLY_RETURN_IF_ERROR(Append(chunk, slice, piece));
  if (slice.offset_bytes() == 0) {
    chunk_ = chunk;
    digest_ = digest;
  }
  if (!assembler_.complete()) return SharedBuffer();
  auto payload = std::make_shared<const Buffer>(assembler_.Take());
  if (Digest64(payload->bytes()) != digest_) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", field_, ".payload_digest` = ", absl::Hex(digest_),
                     ", must be the payload's, ", absl::Hex(Digest64(payload->bytes()))));
  }
  return SharedBuffer(std::move(payload));
}

}  // namespace tally
