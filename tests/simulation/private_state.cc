#include "tests/simulation/private_state.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/types/variant.h"
#include "base/check.h"
#include "base/choices.h"
#include "codecs/sign_codec.h"
#include "codecs/sparse_codec.h"
#include "kernels/live_mask.h"
#include "tests/simulation/contribution_values.h"
#include "tests/simulation/scripted_exchange.h"
#include "tests/util/random_payload.h"

namespace tally {
namespace {

// [num_elements] multiples of 1/64 up to 4 in magnitude; 0 where the layout masks.
std::vector<float> InputFrom(uint64_t seed, const Layout& layout, uint32_t chunk) {
  Choices choices(seed, 0);
  std::vector<float> input(layout.chunks()[chunk].num_elements);
  for (uint32_t i = 0; i < input.size(); ++i) {
    const float value = (static_cast<float>(choices.Below(513)) - 256.0f) / 64.0f;
    input[i] = CountLive(layout.live(chunk), i, i + 1) == 0 ? 0.0f : value;
  }
  return input;
}

Buffer BytesOfValues(absl::Span<const float> values) {
  Buffer bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// Of at least 1/64: then what is left over is a multiple of it.
float PowerOfTwoNear(float magnitude) {
  return std::exp2(std::max(-6.0f, std::round(std::log2(std::max(magnitude, 1e-6f)))));
}

Buffer PackSigns(absl::Span<const float> sum, const Layout& layout, uint32_t chunk,
                 const ScaleGranularity& granularity) {
  const std::vector<uint32_t> ends = layout.SegmentEnds(chunk, granularity);
  Buffer payload(SignPayloadBytes(sum.size(), ends.size()));
  const SignPayloadParts parts = SignPartsOf(payload.bytes(), sum.size(), ends.size());
  std::fill(parts.bits.begin(), parts.bits.end(), uint8_t{0});
  uint32_t begin = 0;
  for (size_t segment = 0; segment < ends.size(); ++segment) {
    float magnitudes = 0;
    for (uint32_t i = begin; i < ends[segment]; ++i) {
      magnitudes += std::abs(sum[i]);
      const bool is_live = CountLive(layout.live(chunk), i, i + 1) != 0;
      if (is_live && sum[i] >= 0) parts.bits[i / 8] |= static_cast<uint8_t>(1u << (i % 8));
    }
    parts.scales[segment] = PowerOfTwoNear(magnitudes / static_cast<float>(ends[segment] - begin));
    begin = ends[segment];
  }
  return payload;
}

// The largest ones.
Buffer PackSparse(absl::Span<const float> sum, uint32_t max_values) {
  std::vector<uint32_t> order(sum.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return std::abs(sum[a]) > std::abs(sum[b]); });
  order.resize(std::min<size_t>(max_values, order.size()));
  std::sort(order.begin(), order.end());
  std::vector<float> values;
  for (const uint32_t i : order) values.push_back(sum[i]);
  return EncodeSparse(order, values, static_cast<uint32_t>(sum.size()));
}

Buffer Pack(const Exchange& exchange, absl::Span<const float> sum, const Layout& layout,
            uint32_t chunk, uint64_t seed) {
  if (const auto* sign = absl::get_if<SignExchange>(&exchange.kind)) {
    return PackSigns(sum, layout, chunk, sign->granularity);
  }
  if (const auto* relay = absl::get_if<SignRelayExchange>(&exchange.kind)) {
    return PackSigns(sum, layout, chunk, relay->granularity);
  }
  if (const auto* sparse = absl::get_if<SparseExchange>(&exchange.kind)) {
    return PackSparse(sum, sparse->max_values);
  }
  if (absl::holds_alternative<DenseExchange>(exchange.kind)) return BytesOfValues(sum);
  // Votes and tables say nothing of the sum here.
  return RandomPayload(exchange, layout, chunk, PayloadValues::kDyadic, seed);
}

}  // namespace

PrivateState::PrivateState(const Layout* layout)
    : layout_(layout), chunks_(layout->chunks().size()) {
  for (size_t c = 0; c < chunks_.size(); ++c) {
    chunks_[c].kept.resize(layout->chunks()[c].num_elements);
    chunks_[c].put_in.resize(layout->chunks()[c].num_elements);
  }
}

Buffer PrivateState::Contribute(const Exchange& exchange, uint32_t chunk, uint64_t seed) {
  Chunk& state = chunks_[chunk];
  std::vector<float> sum;
  if (!absl::holds_alternative<VoteExchange>(exchange.kind)) {
    sum = InputFrom(seed, *layout_, chunk);
    const bool tracks = Tracks(*layout_, chunk);
    for (size_t i = 0; i < sum.size(); ++i) {
      if (!tracks) state.put_in[i] += sum[i];
      sum[i] = tracks ? sum[i] - state.kept[i] : sum[i] + state.kept[i];
    }
    if (!tracks) state.kept = sum;
  }
  Buffer payload = Pack(exchange, sum, *layout_, chunk, seed);
  state.packed = ContributionValues(exchange, *layout_, chunk, payload.bytes(), {});
  return payload;
}

Buffer PrivateState::ContributeValues(const Exchange& exchange, uint32_t chunk,
                                      absl::Span<const uint32_t> candidates) {
  Chunk& state = chunks_[chunk];
  std::vector<float> values;
  for (const uint32_t candidate : candidates) values.push_back(state.kept[candidate]);
  Buffer payload = BytesOfValues(values);
  state.packed = ContributionValues(exchange, *layout_, chunk, payload.bytes(), candidates);
  return payload;
}

void PrivateState::TakeOut(uint32_t chunk, const Place& place) {
  Chunk& state = chunks_[chunk];
  const bool tracks = Tracks(*layout_, chunk);
  for (size_t i = 0; i < state.packed.size(); ++i) {
    state.kept[i] += tracks ? state.packed[i] : -state.packed[i];
  }
  state.taken[place] = std::move(state.packed);
  state.packed.clear();
}

void PrivateState::PutBack(uint32_t chunk, const Place& place) {
  Chunk& state = chunks_[chunk];
  const auto taken = state.taken.find(place);
  TALLY_CHECK(taken != state.taken.end(), "what is undone was known to count");
  const bool tracks = Tracks(*layout_, chunk);
  for (size_t i = 0; i < taken->second.size(); ++i) {
    state.kept[i] += tracks ? -taken->second[i] : taken->second[i];
  }
  state.taken.erase(taken);
}

void PrivateState::Rebase(uint32_t chunk, absl::Span<const float> shared) {
  chunks_[chunk].kept.assign(shared.begin(), shared.end());
}

void PrivateState::Inherit(const Inheritance& inheritance) {
  Chunk& state = chunks_[inheritance.chunk];
  std::vector<float> values(state.kept.size());
  std::memcpy(values.data(), inheritance.payload->data(), inheritance.payload->size());
  for (size_t i = 0; i < values.size(); ++i) {
    state.put_in[i] += values[i];
    state.kept[i] += values[i];
  }
}

std::vector<float> PrivateState::residual() const {
  std::vector<float> flat(layout_->num_elements());
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    if (Tracks(*layout_, c)) continue;
    const Layout::Chunk& shape = layout_->chunks()[c];
    if (shape.dealt) {
      layout_->dealing()->Scatter(c, 0, chunks_[c].kept, absl::MakeSpan(flat));
    } else {
      std::copy(chunks_[c].kept.begin(), chunks_[c].kept.end(),
                flat.begin() + static_cast<std::ptrdiff_t>(shape.offset));
    }
  }
  return flat;
}

absl::Span<const float> PrivateState::TakenAt(uint32_t chunk, const Place& place) const {
  const auto found = chunks_[chunk].taken.find(place);
  if (found == chunks_[chunk].taken.end()) return {};
  return found->second;
}

std::vector<double> PrivateState::TakenOut(uint32_t chunk) const {
  const Chunk& state = chunks_[chunk];
  std::vector<double> taken = state.put_in;
  for (size_t i = 0; i < taken.size(); ++i) taken[i] -= state.kept[i];
  return taken;
}

}  // namespace tally
