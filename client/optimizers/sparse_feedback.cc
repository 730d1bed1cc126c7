#include "client/optimizers/sparse_feedback.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/status_macros.h"
#include "codecs/sparse_codec.h"
#include "kernels/live_mask.h"

namespace tally {

SparseExchange SparseExchangeOf(const Layout::Chunk& chunk, double share) {
  const double count = std::ceil(share * chunk.num_elements);
  return {static_cast<uint32_t>(std::clamp(count, 1.0, static_cast<double>(chunk.num_elements)))};
}

absl::StatusOr<Buffer> SparseFeedback::Encode(uint32_t chunk, const SparseExchange& exchange,
                                              absl::Span<const float> values) {
  Sent& sent = sent_[chunk];
  const absl::Span<const uint8_t> live = layout_.live(chunk);
  sent.indices.resize(std::min<uint64_t>(exchange.max_values, CountLive(live, 0, values.size())));
  TALLY_RETURN_IF_ERROR(
      backend_.sketches().SelectLargest(values, live, absl::MakeSpan(sent.indices)));
  sent.values.clear();
  for (const uint32_t index : sent.indices) sent.values.push_back(values[index]);
  return EncodeSparse(sent.indices, sent.values, static_cast<uint32_t>(values.size()));
}

void SparseFeedback::Settle(uint32_t chunk, Fate fate, float factor, absl::Span<float> y) {
  const Sent sent = std::exchange(sent_[chunk], Sent());
  if (fate != Fate::kCounted) return;
  for (size_t k = 0; k < sent.indices.size(); ++k) y[sent.indices[k]] += factor * sent.values[k];
}

absl::Status AddSparseResult(const ChunkResult& result, absl::Span<float> y) {
  const auto num_elements = static_cast<uint32_t>(y.size());
  TALLY_ASSIGN_OR_RETURN(
      const SparseBlock block,
      DecodeSparse(result.payload->bytes(), num_elements, num_elements, /*with_values=*/true));
  for (size_t k = 0; k < block.indices.size(); ++k) y[block.indices[k]] += block.values[k];
  return absl::OkStatus();
}

}  // namespace tally
