#include "client/optimizers/sign_rounds.h"

#include <algorithm>
#include <utility>

#include "absl/types/variant.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "codecs/sign_codec.h"

namespace tally {

SignRounds::SignRounds(const Exchange& exchange, const Layout* layout, const Backend* backend)
    : exchange_(exchange),
      layout_(*layout),
      backend_(*backend),
      residual_(NewResidual()),
      piece_scales_(residual_->segments().max_pieces()) {
  for (const Layout::Chunk& chunk : layout_.chunks()) {
    if (!chunk.dense) zeroing_.push_back(0);
  }
}

std::unique_ptr<ErrorFeedback> SignRounds::NewResidual() const {
  const auto& sign = absl::get<SignExchange>(exchange_.kind);
  return std::make_unique<ErrorFeedback>(&layout_, sign.scale_rule, sign.granularity, &backend_);
}

void SignRounds::StartRound(QualityMeter* meter) {
  residual_->StartRound();
  meter_ = meter != nullptr && meter->measures() ? meter : nullptr;
}

absl::StatusOr<ChunkContribution> SignRounds::Encode(uint32_t chunk,
                                                     const ErrorFeedback::Input& input) {
  TALLY_ASSIGN_OR_RETURN(absl::optional<Buffer> payload, residual_->Encode(chunk, input));
  ChunkContribution contribution = {exchange_, std::move(payload)};
  absl::get<SignExchange>(contribution.exchange.kind).zero_residual = zeroing_[chunk] != 0;
  return contribution;
}

void SignRounds::Settle(const ChunkResult& result, Fate fate) {
  residual_->Settle(result.chunk, fate);
  if (!result.exchange.has_value()) return;
  zeroing_[result.chunk] = 0;
  if (meter_ != nullptr && fate != Fate::kAbstained) Measure(result);
}

// Decodes the result for itself: callers change the residual before they decode.
void SignRounds::Measure(const ChunkResult& result) {
  for (size_t t = 0; t < num_tiles(result.chunk); ++t) {
    const Range part = range(result.chunk, t);
    measured_.resize(part.num_elements);
    const absl::Status status = Decode(result, t, absl::MakeSpan(measured_));
    TALLY_CHECK(status.ok(), status.message());
    meter_->Add(result.chunk, residual_->sum().subspan(part.offset, part.num_elements), measured_);
  }
}

SignRounds::Range SignRounds::range(uint32_t chunk, size_t tile) const {
  const SegmentMap::Tile part = residual_->segments().tile(chunk, tile);
  return {layout_.chunks()[chunk].offset + part.begin, part.num_elements};
}

absl::Status SignRounds::Decode(const ChunkResult& result, size_t tile, absl::Span<float> out) {
  const SegmentMap& segments = residual_->segments();
  const SegmentMap::Tile part = segments.tile(result.chunk, tile);
  const SignBlock mean =
      SignBlockOf(result.payload->bytes(), layout_.chunks()[result.chunk].num_elements,
                  segments.num_segments(result.chunk));
  const SignBlock tile_mean = TileOf(mean, part, absl::MakeSpan(piece_scales_));
  return backend_.SumSigns(absl::MakeConstSpan(&tile_mean, 1), part.piece_ends,
                           TileOf(layout_.live(result.chunk), part), out);
}

absl::Status SignRounds::TakeCarry(
    DenseCarry& carry,
    absl::FunctionRef<absl::Status(uint64_t offset, absl::Span<const float> carried)> join) {
  for (uint32_t c = 0; c < zeroing_.size(); ++c) {
    const absl::Span<const float> carried = carry.carried(c);
    if (!carried.empty()) TALLY_RETURN_IF_ERROR(join(layout_.chunks()[c].offset, carried));
    carry.Drop(c);
  }
  return absl::OkStatus();
}

void SignRounds::Zero() {
  residual_ = NewResidual();
  std::fill(zeroing_.begin(), zeroing_.end(), uint8_t{1});
}

void SignRounds::Save(SavedStateWriter& writer) const {
  residual_->Save(writer);
  if (std::count(zeroing_.begin(), zeroing_.end(), 1) > 0) {
    writer.AddValues<uint8_t>("zeroing_chunks", zeroing_);
  }
}

absl::Status SignRounds::Load(const SavedState& saved) {
  std::unique_ptr<ErrorFeedback> residual = NewResidual();
  TALLY_RETURN_IF_ERROR(residual->Load(saved));
  std::vector<uint8_t> zeroing(zeroing_.size(), 0);
  if (saved.Has("zeroing_chunks")) {
    TALLY_RETURN_IF_ERROR(saved.Values("zeroing_chunks", absl::MakeSpan(zeroing)));
  }
  residual_ = std::move(residual);
  zeroing_ = std::move(zeroing);
  return absl::OkStatus();
}

}  // namespace tally
