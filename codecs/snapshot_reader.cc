#include "codecs/snapshot_reader.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tally {

absl::StatusOr<absl::optional<ReceivedSnapshot>> SnapshotReader::Take(v1::ResidualSnapshot slice,
                                                                      absl::string_view piece) {
  const auto data_loss = [chunk = slice.chunk(), round = slice.round()](absl::string_view what) {
    return absl::DataLossError(absl::StrCat("chunk ", chunk, ", round ", round, ": ", what));
  };
  if (assembler_.in_progress() &&
      (slice.round() != first_.round() || slice.half() != first_.half())) {
    return data_loss(absl::StrCat("`residual_snapshot` comes between the slices of chunk ",
                                  first_.chunk(), ", round ", first_.round()));
  }
  absl::StatusOr<SharedBuffer> payload =
      assembler_.Take(slice.chunk(), slice.slice(), slice.payload_digest(), piece);
  if (!payload.ok()) return data_loss(payload.status().message());
  if (slice.slice().offset_bytes() == 0) first_ = std::move(slice);
  if (*payload == nullptr) return absl::optional<ReceivedSnapshot>();
  return absl::make_optional(ReceivedSnapshot{std::move(first_), *std::move(payload)});
}

}  // namespace tally
