// The worker's side of a dense exchange: encoding, and the carry of gradients that missed a round.
#ifndef TALLY_CLIENT_OPTIMIZERS_DENSE_CARRY_H_
#define TALLY_CLIENT_OPTIMIZERS_DENSE_CARRY_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/round_driver.h"
#include "client/saved_state.h"
#include "codecs/layout.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace tally {

// A gradient that was sent and not counted joins the chunk's next one; memory for that is taken at
// the chunk's first miss. What rounding to the exchange's number format leaves out is not kept.
// Not thread-safe; the caller has set the float environment.
class DenseCarry {
 public:
  // All pointers must outlive the carry.
  DenseCarry(const Layout* layout, DType dtype, InputGuard* guard, const Backend* backend);

  // The contribution to a chunk: `gradient` [chunk.num_elements] plus the carry. If the sum is out
  // of bounds after conversion, but the gradient alone is not, the carry waits for another round.
  // Nothing if the guard lets the chunk abstain: the gradient is dropped, the carry stays.
  // Returns the guard's error.
  absl::StatusOr<absl::optional<Buffer>> Encode(uint32_t chunk, absl::Span<const float> gradient);

  // What became of it; `gradient` as in Encode.
  absl::Status Settle(uint32_t chunk, Fate fate, absl::Span<const float> gradient);

  // What the chunk carries [chunk.num_elements]; empty if nothing.
  absl::Span<const float> carried(uint32_t chunk) const;
  // Frees the chunk's carry.
  void Drop(uint32_t chunk) { chunks_[chunk] = Chunk(); }

  // Between rounds.
  void Save(SavedStateWriter& writer) const;
  // Returns INVALID_ARGUMENT if the saved one has other sizes; then nothing has changed.
  absl::Status Load(const SavedState& saved);

 private:
  struct Chunk {
    bool carries = false;
    bool sent_carry = false;   // in this round
    std::vector<float> carry;  // empty before the first miss
  };

  // Fills `payload` with gradient + carry (or the gradient alone, if empty). False if a value is
  // out of bounds after conversion.
  absl::StatusOr<bool> EncodeSum(absl::Span<const float> gradient, absl::Span<const float> carry,
                                 absl::Span<uint8_t> payload);

  const Layout& layout_;
  const DType dtype_;
  InputGuard& guard_;
  const Backend& backend_;
  std::vector<Chunk> chunks_;
  std::vector<float> sum_;        // of one tile
  std::vector<float> converted_;  // of one tile
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DENSE_CARRY_H_
