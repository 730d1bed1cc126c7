// The largest elements of what is left over: the worker's side of a sparse exchange.
#ifndef TALLY_CLIENT_OPTIMIZERS_SPARSE_FEEDBACK_H_
#define TALLY_CLIENT_OPTIMIZERS_SPARSE_FEEDBACK_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "client/exchanger.h"
#include "client/optimizers/round_driver.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "kernels/backend.h"

namespace tally {

// How many elements of a chunk travel: `share` of them, rounded up.
SparseExchange SparseExchangeOf(const Layout::Chunk& chunk, double share);

// Chooses what travels, and remembers it until its fate is known. Not thread-safe.
class SparseFeedback {
 public:
  // `layout` and `backend` must outlive this.
  SparseFeedback(const Layout* layout, const Backend* backend)
      : layout_(*layout), backend_(*backend), sent_(layout->chunks().size()) {}

  // The contribution of the `max_values` unmasked elements with the largest magnitudes, of equal
  // ones the first, or of all unmasked ones if these are fewer. `values` [chunk.num_elements] is
  // finite.
  absl::StatusOr<Buffer> Encode(uint32_t chunk, const SparseExchange& exchange,
                                absl::Span<const float> values);

  // If the contribution was counted: y[i] += factor * value for each of its elements; y
  // [chunk.num_elements]. With factor -1 on what Encode chose from, these become zero.
  void Settle(uint32_t chunk, Fate fate, float factor, absl::Span<float> y);

 private:
  struct Sent {
    std::vector<uint32_t> indices;
    std::vector<float> values;
  };

  const Layout& layout_;
  const Backend& backend_;
  std::vector<Sent> sent_;  // by chunk
};

// y[i] += value for each element of a sparse result; y [chunk.num_elements].
absl::Status AddSparseResult(const ChunkResult& result, absl::Span<float> y);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SPARSE_FEEDBACK_H_
