#include "codecs/snapshot_reader.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/digest.h"

namespace tally {
absl::Status SnapshotReader::Append(const v1::ResidualSnapshot& slice, absl::string_view piece) {
  if (assembler_.in_progress()) {
    if (slice.chunk() != first_.chunk() || slice.round() != first_.round() ||
        slice.half() != first_.half()) {
      return absl::InvalidArgumentError(
          absl::StrCat("`residual_snapshot` comes between the slices of chunk ", first_.chunk(),
                       ", round ", first_.round()));
    }
    return assembler_.Continue(slice.slice(), BytesOf(piece));
  }
  if (slice.chunk() >= layout_->chunks().size()) {
    return absl::InvalidArgumentError(absl::StrCat("`residual_snapshot.chunk` must be less than ",
                                                   layout_->chunks().size(),
                                                   ", the layout's chunks"));
  }
  const uint64_t num_bytes =
      uint64_t{layout_->chunks()[slice.chunk()].num_elements} * sizeof(float);
  if (slice.slice().total_bytes() != num_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("`residual_snapshot.slice.total_bytes` = ", slice.slice().total_bytes(),
                     ", must be ", num_bytes, ", 4 for each element of the chunk"));
  }
  return assembler_.Begin(slice.slice(), BytesOf(piece), num_bytes);
}

absl::StatusOr<absl::optional<ReceivedSnapshot>> SnapshotReader::Take(v1::ResidualSnapshot slice,
                                                                      absl::string_view piece) {
  const auto data_loss = [chunk = slice.chunk(), round = slice.round()](absl::string_view what) {
    return absl::DataLossError(absl::StrCat("chunk ", chunk, ", round ", round, ": ", what));
  };
  const absl::Status status = Append(slice, piece);
  if (!status.ok()) return data_loss(status.message());
  if (slice.slice().offset_bytes() == 0) first_ = std::move(slice);
  if (!assembler_.complete()) return absl::optional<ReceivedSnapshot>();
  auto payload = std::make_shared<const Buffer>(assembler_.Take());
  const uint64_t digest = Digest64(payload->bytes());
  if (digest != first_.payload_digest()) {
    return data_loss(
        absl::StrCat("`residual_snapshot.payload_digest` = ", absl::Hex(first_.payload_digest()),
                     ", must be the payload's, ", absl::Hex(digest)));
  }
  return absl::make_optional(ReceivedSnapshot{std::move(first_), std::move(payload)});
}

}  // namespace tally
