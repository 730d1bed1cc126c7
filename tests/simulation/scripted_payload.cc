#include "tests/simulation/scripted_payload.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "absl/types/variant.h"
#include "base/choices.h"
#include "base/digest.h"
#include "codecs/sign_codec.h"
#include "codecs/sparse_codec.h"
#include "kernels/live_mask.h"

namespace tally {
namespace {

class Writer {
 public:
  Writer(const Layout& layout, uint32_t chunk, uint64_t seed)
      : layout_(layout),
        chunk_(chunk),
        num_elements_(layout.chunks()[chunk].num_elements),
        choices_(seed, 0) {}

  Buffer operator()(const DenseExchange& dense) { return Floats(dense.dtype, num_elements_); }
  Buffer operator()(const SignExchange& sign) {
    return Signs(layout_.NumSegments(chunk_, sign.granularity));
  }
  Buffer operator()(const SignRelayExchange& relay) {
    return Signs(layout_.NumSegments(chunk_, relay.granularity));
  }
  Buffer operator()(const VoteExchange&) {
    Buffer votes(BitmapBytes(num_elements_));
    FillBits(votes.bytes());
    return votes;
  }
  Buffer operator()(const SketchExchange& sketch) {
    return Floats(sketch.dtype, sketch.rows * sketch.columns);
  }
  Buffer operator()(const ValuesExchange& values) {
    return Floats(values.dtype, values.num_values);
  }
  Buffer operator()(const SparseExchange& sparse) {
    std::vector<uint32_t> indices;
    std::vector<float> values;
    for (uint32_t i = 0; i < num_elements_ && indices.size() < sparse.max_values; ++i) {
      if (!IsLive(i) || !choices_.OneIn(4)) continue;
      indices.push_back(i);
      values.push_back(Value());
    }
    return EncodeSparse(indices, values, num_elements_);
  }

 private:
  bool IsLive(uint32_t element) const {
    const absl::Span<const uint8_t> live = layout_.live(chunk_);
    return live.empty() || ((live[element / 8] >> (element % 8)) & 1) != 0;
  }
  float Value() { return (static_cast<float>(choices_.Below(513)) - 256.0f) / 64.0f; }

  // Fp32 only.
  Buffer Floats(DType, uint64_t count) {
    Buffer payload(count * sizeof(float));
    for (uint64_t i = 0; i < count; ++i) {
      const bool of_elements = count == num_elements_;
      const float value = of_elements && !IsLive(static_cast<uint32_t>(i)) ? 0.0f : Value();
      std::memcpy(payload.data() + i * sizeof(float), &value, sizeof(float));
    }
    return payload;
  }
  Buffer Signs(size_t num_segments) {
    Buffer payload(SignPayloadBytes(num_elements_, num_segments));
    const SignPayloadParts parts = SignPartsOf(payload.bytes(), num_elements_, num_segments);
    for (float& scale : parts.scales) {
      scale = std::ldexp(1.0f, static_cast<int>(choices_.Below(7)) - 3);
    }
    FillBits(parts.bits);
    return payload;
  }
  // Of masked elements and beyond the last one the bits are 0.
  void FillBits(absl::Span<uint8_t> bits) {
    std::fill(bits.begin(), bits.end(), uint8_t{0});
    for (uint32_t i = 0; i < num_elements_; ++i) {
      if (IsLive(i) && choices_.OneIn(2)) bits[i / 8] |= static_cast<uint8_t>(1u << (i % 8));
    }
  }

  const Layout& layout_;
  const uint32_t chunk_;
  const uint32_t num_elements_;
  Choices choices_;
};

}  // namespace

Exchange ScriptedExchange(const Layout& layout, uint32_t roster_limit, uint32_t chunk,
                          uint64_t round) {
  const Layout::Chunk& place = layout.chunks()[chunk];
  if (place.dense) return {DenseExchange{}};
  if (place.dealt) {
    return {SketchExchange{.hash_seed = 1,
                           .rows = 3,
                           .columns = 32,
                           .num_candidates = std::min<uint32_t>(place.num_elements, 10),
                           .with_estimates = round % 5 == 4}};
  }
  const SignExchange signs = {ScaleRule::kRootMeanSquare, {ScaleGranularity::Unit::kBlock, 256}};
  switch ((round + chunk) % 8) {
    case 0:
      return {DenseExchange{}};
    case 2:
      if (roster_limit > kMaxRelayParticipants) return {signs};
      return {SignRelayExchange{signs.granularity}};
    case 3:
      return {VoteExchange{VoteResult::kDrawn}};
    case 5:
      return {SparseExchange{std::min<uint32_t>(place.num_elements, 20)}};
    default:
      return {signs, round % 3 == 0 ? Divisor::kRoster : Divisor::kParticipants};
  }
}

uint64_t ScriptSeed(uint64_t run_seed, absl::string_view worker, uint32_t chunk, uint32_t half,
                    uint64_t prev_chain) {
  return Mix64(run_seed ^ Digest64(worker) ^ Mix64(prev_chain + half) ^ Mix64(chunk * kGolden64));
}

Buffer ScriptedPayload(const Exchange& exchange, const Layout& layout, uint32_t chunk,
                       uint64_t seed) {
  return absl::visit(Writer(layout, chunk, seed), exchange.kind);
}

}  // namespace tally
