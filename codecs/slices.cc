#include "codecs/slices.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "codecs/limits.h"

namespace tally {
namespace {

// Checks a piece that is to follow `received_bytes` of a payload of `total_bytes`.
absl::Status CheckPiece(const v1::Slice& slice, absl::Span<const uint8_t> piece,
                        uint64_t received_bytes, uint64_t total_bytes) {
  if (slice.offset_bytes() != received_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("`slice.offset_bytes` = ", slice.offset_bytes(),
                                                   ", must be ", received_bytes,
                                                   ", where the slice before ended"));
  }
  if (piece.size() > kMaxSliceBytes || piece.size() > total_bytes - received_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("`payload` has ", piece.size(), " bytes, must have at most ",
                     std::min<uint64_t>(kMaxSliceBytes, total_bytes - received_bytes), " (",
                     received_bytes, " of ", total_bytes, " bytes are there)"));
  }
  return absl::OkStatus();
}

absl::Status EmptyPieceError(uint64_t offset_bytes) {
  return absl::InvalidArgumentError(
      absl::StrCat("`payload` has 0 bytes at offset ", offset_bytes, ", must have at least 1"));
}

}  // namespace

std::vector<PayloadSlice> CutIntoSlices(absl::Span<const uint8_t> payload, size_t slice_bytes) {
  std::vector<PayloadSlice> slices;
  slices.reserve(payload.size() / slice_bytes + 1);
  size_t offset = 0;
  do {
    PayloadSlice& next = slices.emplace_back();
    next.slice.set_offset_bytes(offset);
    next.slice.set_total_bytes(payload.size());
    next.piece = payload.subspan(offset, slice_bytes);
    offset += next.piece.size();
  } while (offset < payload.size());
  return slices;
}

absl::Status SliceAssembler::Begin(const v1::Slice& slice, absl::Span<const uint8_t> piece,
                                   uint64_t max_total_bytes) {
  if (in_progress_) {
    return absl::FailedPreconditionError(
        absl::StrCat("`slice` begins a payload, must continue the one of which ", received_bytes_,
                     " of ", payload_.size(), " bytes are there"));
  }
  if (slice.total_bytes() > max_total_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("`slice.total_bytes` = ", slice.total_bytes(),
                                                   ", must be at most ", max_total_bytes));
  }
  TALLY_RETURN_IF_ERROR(CheckPiece(slice, piece, 0, slice.total_bytes()));
  if (piece.empty() && slice.total_bytes() > 0) return EmptyPieceError(0);
  payload_ = Buffer(slice.total_bytes(), payload_memory_);
  received_bytes_ = 0;
  in_progress_ = true;
  Append(piece);
  return absl::OkStatus();
}

absl::Status SliceAssembler::Continue(const v1::Slice& slice, absl::Span<const uint8_t> piece) {
  if (!in_progress_) {
    return absl::FailedPreconditionError(
        absl::StrCat("`slice.offset_bytes` = ", slice.offset_bytes(),
                     " continues a payload, must begin one: none is in progress"));
  }
  if (slice.total_bytes() != payload_.size()) {
    return absl::InvalidArgumentError(absl::StrCat("`slice.total_bytes` = ", slice.total_bytes(),
                                                   ", must be ", payload_.size(),
                                                   " as in the first slice"));
  }
  TALLY_RETURN_IF_ERROR(CheckPiece(slice, piece, received_bytes_, payload_.size()));
  if (piece.empty()) return EmptyPieceError(received_bytes_);
  Append(piece);
  return absl::OkStatus();
}

void SliceAssembler::Append(absl::Span<const uint8_t> piece) {
  if (!piece.empty()) {
    std::memcpy(payload_.data() + received_bytes_, piece.data(), piece.size());
  }
  received_bytes_ += piece.size();
}

Buffer SliceAssembler::Take() {
  in_progress_ = false;
  return std::move(payload_);
}

}  // namespace tally
