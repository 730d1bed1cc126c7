#include "tests/util/random_payload.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/types/variant.h"
#include "base/check.h"
#include "base/choices.h"
#include "codecs/dense_codec.h"
#include "codecs/sign_codec.h"
#include "codecs/sparse_codec.h"
#include "kernels/host_backends.h"
#include "kernels/live_mask.h"

namespace tally {
namespace {

class Writer {
 public:
  Writer(const Layout& layout, uint32_t chunk, PayloadValues values, uint64_t seed)
      : layout_(layout),
        chunk_(chunk),
        num_elements_(layout.chunks()[chunk].num_elements),
        values_(values),
        choices_(seed, 0) {}

  Buffer operator()(const DenseExchange& dense) { return Floats(dense.dtype, num_elements_); }
  Buffer operator()(const SignExchange& sign) { return Signs(sign.granularity); }
  Buffer operator()(const SignRelayExchange& relay) { return Signs(relay.granularity); }
  Buffer operator()(const VoteExchange&) {
    Buffer votes(BitmapBytes(num_elements_));
    FillBits(votes.bytes());
    return votes;
  }
  Buffer operator()(const SketchExchange& sketch) {
    return Floats(sketch.dtype, uint64_t{sketch.rows} * sketch.columns);
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
    return CountLive(layout_.live(chunk_), element, element + 1) != 0;
  }
  float Value() {
    if (values_ == PayloadValues::kDyadic) {
      return (static_cast<float>(choices_.Below(513)) - 256.0f) / 64.0f;
    }
    return (static_cast<float>(choices_.Below(2001)) - 1000.0f) / 300.0f;
  }
  float Scale() {
    if (values_ == PayloadValues::kDyadic) {
      return std::ldexp(1.0f, static_cast<int>(choices_.Below(7)) - 3);
    }
    return static_cast<float>(choices_.Below(1000)) / 300.0f;
  }

  Buffer Floats(DType dtype, uint64_t count) {
    const bool of_elements = count == num_elements_;
    std::vector<float> values(count, 0.0f);
    for (uint64_t i = 0; i < count; ++i) {
      if (!of_elements || IsLive(static_cast<uint32_t>(i))) values[i] = Value();
    }
    Buffer payload(DensePayloadBytes(dtype, count));
    const absl::Status encoded = FastestHostBackend()->EncodeDense(dtype, values, payload.bytes());
    TALLY_CHECK(encoded.ok(), encoded.ToString());
    return payload;
  }
  Buffer Signs(const ScaleGranularity& granularity) {
    const size_t num_segments = layout_.NumSegments(chunk_, granularity);
    Buffer payload(SignPayloadBytes(num_elements_, num_segments));
    const SignPayloadParts parts = SignPartsOf(payload.bytes(), num_elements_, num_segments);
    for (float& scale : parts.scales) scale = Scale();
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
  const PayloadValues values_;
  Choices choices_;
};

}  // namespace

Buffer RandomPayload(const Exchange& exchange, const Layout& layout, uint32_t chunk,
                     PayloadValues values, uint64_t seed) {
  return absl::visit(Writer(layout, chunk, values, seed), exchange.kind);
}

}  // namespace tally
