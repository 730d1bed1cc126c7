#include "codecs/result_reader.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "codecs/exchange.h"

namespace tally {
absl::Status ResultReader::Append(const v1::Result& slice, absl::string_view piece) {
  if (assembler_.in_progress()) {
    if (slice.chunk() != first_.chunk() || slice.round() != first_.round() ||
        slice.half() != first_.half()) {
      return absl::InvalidArgumentError(absl::StrCat("`result` comes between the slices of chunk ",
                                                     first_.chunk(), ", round ", first_.round()));
    }
    return assembler_.Continue(slice.slice(), BytesOf(piece));
  }
  if (slice.chunk() >= layout_->chunks().size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`result.chunk` must be less than ", layout_->chunks().size(), ", the layout's chunks"));
  }
  return assembler_.Begin(slice.slice(), BytesOf(piece),
                          MaxResultBytes(*layout_, slice.chunk(), roster_limit_));
}

absl::StatusOr<absl::optional<ReceivedResult>> ResultReader::Take(v1::Result slice,
                                                                  absl::string_view piece) {
  const absl::Status status = Append(slice, piece);
  if (!status.ok()) {
    return absl::DataLossError(
        absl::StrCat("chunk ", slice.chunk(), ", round ", slice.round(), ": ", status.message()));
  }
  if (slice.slice().offset_bytes() == 0) first_ = std::move(slice);
  if (!assembler_.complete()) return absl::optional<ReceivedResult>();
  return absl::make_optional(
      ReceivedResult{std::move(first_), std::make_shared<const Buffer>(assembler_.Take())});
}

}  // namespace tally
