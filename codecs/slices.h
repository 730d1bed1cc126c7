// Payloads in slices: cutting them up, and putting them together again from bytes that nobody
// vouches for.
#ifndef TALLY_CODECS_SLICES_H_
#define TALLY_CODECS_SLICES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "codecs/limits.h"
#include "proto/tally/v1/exchange.pb.h"

namespace tally {

// A piece of a payload and what a message says about it.
struct PayloadSlice {
  v1::Slice slice;
  absl::Span<const uint8_t> piece;  // shares the payload's memory
};

// Cuts a payload into slices of `slice_bytes`, the last one perhaps shorter; an empty payload is
// one empty slice. `slice_bytes` is from 1 to kMaxSliceBytes.
std::vector<PayloadSlice> CutIntoSlices(absl::Span<const uint8_t> payload,
                                        size_t slice_bytes = kSliceBytes);

// Puts the slices of one payload together. One per stream and direction: slices of a payload follow
// each other without others between them, so at most one payload is ever incomplete. What is
// refused changes nothing. Not thread-safe.
class SliceAssembler {
 public:
  // Payloads take their memory from `payload_memory`; null: from the heap.
  explicit SliceAssembler(std::shared_ptr<BufferMemory> payload_memory = nullptr)
      : payload_memory_(std::move(payload_memory)) {}

  // True from the first slice of a payload until it is taken.
  bool in_progress() const { return in_progress_; }

  // Takes the first slice of a payload whose size must be at most `max_total_bytes`. Memory is
  // taken only now, for the declared size.
  // Returns FAILED_PRECONDITION if a payload is in progress; INVALID_ARGUMENT if offset_bytes is
  // not 0, total_bytes is above the limit, or the piece is empty (unless the payload is), larger
  // than kMaxSliceBytes or than the payload.
  absl::Status Begin(const v1::Slice& slice, absl::Span<const uint8_t> piece,
                     uint64_t max_total_bytes);

  // Takes a further slice.
  // Returns FAILED_PRECONDITION if none is in progress; INVALID_ARGUMENT if offset_bytes is not
  // where the last slice ended, total_bytes differs from the first one's, or the piece is empty,
  // too large or beyond the end.
  absl::Status Continue(const v1::Slice& slice, absl::Span<const uint8_t> piece);

  // True once every byte is there.
  bool complete() const { return in_progress_ && received_bytes_ == payload_.size(); }

  // Hands over a payload that is complete() and starts afresh.
  Buffer Take();

 private:
  // Takes a piece that was checked.
  void Append(absl::Span<const uint8_t> piece);

  std::shared_ptr<BufferMemory> payload_memory_;
  bool in_progress_ = false;
  uint64_t received_bytes_ = 0;
  Buffer payload_;
};

}  // namespace tally

#endif  // TALLY_CODECS_SLICES_H_
