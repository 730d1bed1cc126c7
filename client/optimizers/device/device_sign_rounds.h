// Sign rounds of a worker whose numbers lie in a device's memory.
#ifndef TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_SIGN_ROUNDS_H_
#define TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_SIGN_ROUNDS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "client/exchanger.h"
#include "client/optimizers/device/device_array.h"
#include "client/optimizers/round_driver.h"
#include "client/optimizers/saved_feedback.h"
#include "client/optimizers/segment_map.h"
#include "client/saved_state.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "kernels/backend.h"
#include "kernels/device/lane.h"
#include "kernels/sign_block.h"

namespace tally {

// ErrorFeedback and the decoding of SignRounds, with the same bits: workers with and without a
// device play the same rounds, and go on from each other's saved states. What crosses the bus is
// the contributions' and results' bits and scales, and a norm and a scale for every piece
// (SegmentMap).
//
// Spans of elements lie in the memory of the lane's device. Methods enqueue on the lane, and wait
// for it where they give something back; what they were given must stay until the lane was waited
// for. They return RESOURCE_EXHAUSTED if memory does not suffice, UNAVAILABLE if the device has
// failed: if Encode, Decode, Add or Restore does, the residual is not to be used. Not thread-safe;
// the caller has set the float environment.
class DeviceSignRounds {
 public:
  // Enqueues what writes a chunk's input, [chunk.num_elements], to `out`.
  using WriteInput = absl::FunctionRef<absl::Status(uint32_t chunk, absl::Span<float> out)>;

  // `exchange` is a SignExchange that is legal for the layout, which must outlive this, as must
  // `backend`, the host's, and `lane`. The residual starts at zero.
  static absl::StatusOr<std::unique_ptr<DeviceSignRounds>> Create(const Exchange& exchange,
                                                                  const Layout* layout,
                                                                  const Backend* backend,
                                                                  Lane* lane);

  const SegmentMap& segments() const { return segments_; }

  // The payloads of the round's contributions to all compressed chunks. `takes_part` [number of
  // them]: the others abstain, nothing is put in, there is no payload. Once per round.
  absl::StatusOr<std::vector<absl::optional<Buffer>>> Encode(const std::vector<bool>& takes_part,
                                                             WriteInput write);
  // What became of one.
  void Settle(uint32_t chunk, Fate fate);

  // Writes what a result that exchanged something stands for to `out` [chunk.num_elements], and
  // zeros where `live` [bitmap, or empty: everywhere] does not say that the element lives.
  absl::Status Decode(const ChunkResult& result, absl::Span<const uint8_t> live,
                      absl::Span<float> out);

  // The residual += factor * x on elements [offset, offset + x.size()) of the flat vector; between
  // Settle and the next round, for their chunks.
  // Returns INVALID_ARGUMENT, besides, if they are not all compressed.
  absl::Status Add(uint64_t offset, float factor, absl::Span<const float> x);

  // Norm (2) of the residual: added up chunk by chunk, so its last digits are not ErrorFeedback's.
  absl::StatusOr<double> Norm();
  // As ErrorFeedback, in the host's memory; takes none of the device's.
  absl::StatusOr<std::vector<float>> Residual();
  absl::Status Save(SavedStateWriter& writer);
  // Takes what LoadFeedback has read.
  absl::Status Restore(const SavedFeedback& saved);

 private:
  enum class Last : uint8_t { kNone, kSent, kCounted };  // as in ErrorFeedback

  struct Chunk {
    Last last = Last::kNone;
    std::vector<uint32_t> segment_ends;
    // Of SegmentMap's pieces, from the start of the chunk.
    std::vector<uint32_t> piece_ends;
    std::vector<uint32_t> piece_segments;
    DeviceArray<uint8_t> live;  // empty: all
    // The last contribution: its bits, beside which there is room for the next one's, and scales.
    DeviceArray<uint8_t> bits[2];
    int current = 0;
    std::vector<float> scales;  // [num_segments]
  };

  DeviceSignRounds(const Exchange& exchange, const Layout* layout, const Backend* backend,
                   Lane* lane);
  absl::Status Allocate();
  // Enqueues the accumulation; its norms and the contribution's bits are there when the lane was
  // waited for.
  absl::Status Accumulate(uint32_t chunk, absl::Span<const float> input, absl::Span<double> norms,
                          absl::Span<uint8_t> bits);
  // The last contribution as a block with one scale per piece.
  absl::StatusOr<SignBlock> LastOf(const Chunk& chunk);
  absl::Span<float> SumOf(uint32_t chunk);
  // By chunk: the contribution that is counted and still in the sum; empty: none.
  absl::StatusOr<std::vector<Buffer>> FetchCounted();
  // Enqueues what writes the chunk's residual to the result.
  absl::StatusOr<absl::Span<const float>> ResidualOf(uint32_t chunk);

  const Exchange exchange_;
  const Layout& layout_;
  const Backend& backend_;
  Lane& lane_;
  const SegmentMap segments_;
  size_t largest_chunk_ = 0;  // elements
  std::vector<Chunk> chunks_;
  DeviceArray<float> sum_;  // [num_compressed]
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_SIGN_ROUNDS_H_
