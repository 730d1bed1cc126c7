#include "client/optimizers/dense_carry.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "client/optimizers/tile.h"
#include "codecs/dense_codec.h"

namespace tally {
DenseCarry::DenseCarry(const Layout* layout, DType dtype, InputGuard* guard, const Backend* backend)
    : layout_(*layout),
      dtype_(dtype),
      guard_(*guard),
      backend_(*backend),
      chunks_(layout->chunks().size()),
      sum_(kTileElements),
      converted_(kTileElements) {}

absl::Span<const float> DenseCarry::carried(uint32_t chunk) const {
  return chunks_[chunk].carries ? absl::MakeConstSpan(chunks_[chunk].carry)
                                : absl::Span<const float>();
}

absl::StatusOr<absl::optional<Buffer>> DenseCarry::Encode(uint32_t chunk,
                                                          absl::Span<const float> gradient) {
  Buffer payload(DensePayloadBytes(dtype_, gradient.size()));
  TALLY_ASSIGN_OR_RETURN(bool accepted, EncodeSum(gradient, carried(chunk), payload.bytes()));
  chunks_[chunk].sent_carry = accepted && chunks_[chunk].carries;
  if (!accepted && chunks_[chunk].carries) {
    TALLY_ASSIGN_OR_RETURN(accepted, EncodeSum(gradient, {}, payload.bytes()));
  }
  if (accepted) return absl::optional<Buffer>(std::move(payload));
  TALLY_RETURN_IF_ERROR(guard_.Refuse(chunk, gradient, dtype_));
  return absl::optional<Buffer>();
}

absl::StatusOr<bool> DenseCarry::EncodeSum(absl::Span<const float> gradient,
                                           absl::Span<const float> carry,
                                           absl::Span<uint8_t> payload) {
  for (size_t begin = 0; begin < gradient.size(); begin += kTileElements) {
    const size_t size = std::min<size_t>(kTileElements, gradient.size() - begin);
    absl::Span<const float> sum = gradient.subspan(begin, size);
    if (!carry.empty()) {
      TALLY_RETURN_IF_ERROR(backend_.Blend(1.0f, sum, 1.0f, carry.subspan(begin, size),
                                           absl::MakeSpan(sum_).first(size)));
      sum = absl::MakeConstSpan(sum_).first(size);
    }
    const absl::Span<uint8_t> bytes =
        payload.subspan(begin * ElementBytes(dtype_), size * ElementBytes(dtype_));
    TALLY_RETURN_IF_ERROR(backend_.EncodeDense(dtype_, sum, bytes));
    if (dtype_ != DType::kFloat32) {
      const absl::Span<float> converted = absl::MakeSpan(converted_).first(size);
      TALLY_RETURN_IF_ERROR(backend_.DecodeDense(dtype_, bytes, converted));
      sum = converted;
    }
    if (!guard_.Accepts(sum)) return false;
  }
  return true;
}

absl::Status DenseCarry::Settle(uint32_t chunk, Fate fate, absl::Span<const float> gradient) {
  Chunk& state = chunks_[chunk];
  if (fate == Fate::kAbstained) return absl::OkStatus();
  if (fate == Fate::kCounted) {
    if (state.sent_carry) state.carries = false;
    return absl::OkStatus();
  }
  if (!state.carries) {
    state.carry.assign(gradient.begin(), gradient.end());
    state.carries = true;
    return absl::OkStatus();
  }
  return backend_.Blend(1.0f, gradient, 1.0f, state.carry, absl::MakeSpan(state.carry));
}

void DenseCarry::Save(SavedStateWriter& writer) const {
  if (writer.is_shared()) return;
  std::string carrying;
  std::vector<float> carry;
  for (const Chunk& chunk : chunks_) {
    carrying.push_back(chunk.carries ? 1 : 0);
    if (chunk.carries) carry.insert(carry.end(), chunk.carry.begin(), chunk.carry.end());
  }
  writer.AddBytes("carrying_chunks", carrying);
  writer.AddValues<float>("carry", carry);
}

absl::Status DenseCarry::Load(const SavedState& saved) {
  if (saved.is_shared()) {
    for (Chunk& chunk : chunks_) chunk = Chunk();
    return absl::OkStatus();
  }
  std::string carrying(chunks_.size(), 0);
  TALLY_RETURN_IF_ERROR(
      saved.Values("carrying_chunks", absl::MakeSpan(&carrying[0], carrying.size())));
  uint64_t num_carried = 0;
  for (size_t c = 0; c < chunks_.size(); ++c) {
    if (carrying[c] != 0) num_carried += layout_.chunks()[c].num_elements;
  }
  std::vector<float> carry(num_carried);
  TALLY_RETURN_IF_ERROR(saved.Values("carry", absl::MakeSpan(carry)));
  auto next = carry.begin();
  for (size_t c = 0; c < chunks_.size(); ++c) {
    chunks_[c] = Chunk();
    if (carrying[c] == 0) continue;
    const auto end = next + layout_.chunks()[c].num_elements;
    chunks_[c].carries = true;
    chunks_[c].carry.assign(next, end);
    next = end;
  }
  return absl::OkStatus();
}

}  // namespace tally
