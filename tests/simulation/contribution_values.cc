#include "tests/simulation/contribution_values.h"

#include <cstring>

#include "absl/types/variant.h"
#include "base/check.h"
#include "codecs/sign_codec.h"
#include "codecs/sparse_codec.h"
#include "kernels/live_mask.h"

namespace tally {
namespace {

class Reader {
 public:
  Reader(const Layout& layout, uint32_t chunk, absl::Span<const uint8_t> payload,
         absl::Span<const uint32_t> candidates)
      : layout_(layout),
        chunk_(chunk),
        payload_(payload),
        candidates_(candidates),
        values_(layout.chunks()[chunk].num_elements, 0.0f) {}

  std::vector<float> operator()(const DenseExchange&) {
    TALLY_CHECK(payload_.size() == values_.size() * sizeof(float), "scripts send fp32");
    std::memcpy(values_.data(), payload_.data(), payload_.size());
    return values_;
  }
  std::vector<float> operator()(const SignExchange& sign) { return Signs(sign.granularity); }
  std::vector<float> operator()(const SignRelayExchange& relay) { return Signs(relay.granularity); }
  std::vector<float> operator()(const VoteExchange&) { return values_; }
  std::vector<float> operator()(const SketchExchange&) { return values_; }
  std::vector<float> operator()(const ValuesExchange&) {
    TALLY_CHECK(payload_.size() == candidates_.size() * sizeof(float), "one value each, as fp32");
    for (size_t i = 0; i < candidates_.size(); ++i) {
      std::memcpy(&values_[candidates_[i]], payload_.data() + i * sizeof(float), sizeof(float));
    }
    return values_;
  }
  std::vector<float> operator()(const SparseExchange& sparse) {
    const absl::StatusOr<SparseBlock> block =
        DecodeSparse(payload_, static_cast<uint32_t>(values_.size()), sparse.max_values,
                     /*with_values=*/true);
    TALLY_CHECK(block.ok(), block.status().ToString());
    for (size_t i = 0; i < block->indices.size(); ++i) {
      values_[block->indices[i]] = block->values[i];
    }
    return values_;
  }

 private:
  std::vector<float> Signs(const ScaleGranularity& granularity) {
    const std::vector<uint32_t> ends = layout_.SegmentEnds(chunk_, granularity);
    const SignBlock block = SignBlockOf(payload_, values_.size(), ends.size());
    for (uint32_t i = 0, segment = 0; i < values_.size(); ++i) {
      if (i == ends[segment]) ++segment;
      const bool is_positive = (block.bits[i / 8] >> (i % 8) & 1) != 0;
      if (CountLive(layout_.live(chunk_), i, i + 1) == 0) continue;
      values_[i] = is_positive ? block.scales[segment] : -block.scales[segment];
    }
    return values_;
  }

  const Layout& layout_;
  const uint32_t chunk_;
  const absl::Span<const uint8_t> payload_;
  const absl::Span<const uint32_t> candidates_;
  std::vector<float> values_;
};

}  // namespace

std::vector<float> ContributionValues(const Exchange& exchange, const Layout& layout,
                                      uint32_t chunk, absl::Span<const uint8_t> payload,
                                      absl::Span<const uint32_t> candidates) {
  return absl::visit(Reader(layout, chunk, payload, candidates), exchange.kind);
}

std::vector<uint32_t> CandidatesOf(const Layout& layout, uint32_t chunk,
                                   absl::Span<const uint8_t> payload) {
  const uint32_t num_elements = layout.chunks()[chunk].num_elements;
  absl::StatusOr<SparseBlock> block =
      DecodeSparse(payload, num_elements, num_elements, /*with_values=*/false);
  TALLY_CHECK(block.ok(), block.status().ToString());
  return std::move(block->indices);
}

}  // namespace tally
