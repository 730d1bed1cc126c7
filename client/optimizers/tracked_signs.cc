#include "client/optimizers/tracked_signs.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/status_macros.h"
#include "client/optimizers/tile.h"
#include "codecs/sign_codec.h"

namespace tally {

TrackedSigns::TrackedSigns(const Layout* layout, ScaleRule rule,
                           const ScaleGranularity& granularity, const Backend* backend)
    : layout_(*layout),
      backend_(*backend),
      rule_(rule),
      segments_(*layout, granularity),
      tracked_(layout->num_compressed()),
      lag_(kTileElements),
      piece_scales_(segments_.max_pieces()),
      piece_norms_(segments_.max_pieces()) {
  for (const Layout::Chunk& chunk : layout_.chunks()) {
    if (chunk.dense) break;
    sent_.emplace_back();
  }
  lag_squares_.resize(sent_.size());
}

absl::StatusOr<Buffer> TrackedSigns::Encode(uint32_t chunk, absl::Span<const float> gradient) {
  const size_t num_segments = segments_.num_segments(chunk);
  Buffer payload(SignPayloadBytes(gradient.size(), num_segments));
  const SignPayloadParts parts = SignPartsOf(payload.bytes(), gradient.size(), num_segments);
  segment_norms_.assign(num_segments, 0.0);
  lag_squares_[chunk] = 0.0;
  for (size_t t = 0; t < segments_.num_tiles(chunk); ++t) {
    const SegmentMap::Tile tile = segments_.tile(chunk, t);
    const absl::Span<const float> tracked = absl::MakeConstSpan(tracked_).subspan(
        layout_.chunks()[chunk].offset + tile.begin, tile.num_elements);
    const absl::Span<float> lag = absl::MakeSpan(lag_).first(tile.num_elements);
    const absl::Span<double> norms = absl::MakeSpan(piece_norms_).first(tile.piece_ends.size());
    std::copy(tracked.begin(), tracked.end(), lag.begin());
    TALLY_RETURN_IF_ERROR(backend_.Blend(-1.0f, lag, 0.0f, lag, lag));
    TALLY_RETURN_IF_ERROR(
        backend_.Accumulate({.sum = lag,
                             .input = gradient.subspan(tile.begin, tile.num_elements),
                             .counted = {},
                             .segment_ends = tile.piece_ends,
                             .live = TileOf(layout_.live(chunk), tile),
                             .rule = rule_,
                             .norms = norms}));
    for (size_t piece = 0; piece < norms.size(); ++piece) {
      segment_norms_[tile.piece_segments[piece]] += norms[piece];
    }
    lag_squares_[chunk] += backend_.SumOfSquares(lag);
    TALLY_RETURN_IF_ERROR(backend_.PackSigns(
        lag, parts.bits.subspan(tile.begin / 8, BitmapBytes(tile.num_elements))));
  }
  for (size_t k = 0; k < num_segments; ++k) {
    parts.scales[k] = ScaleFromNorm(rule_, segment_norms_[k], segments_.num_live(chunk)[k]);
  }
  sent_[chunk] = Buffer(payload.size());
  std::memcpy(sent_[chunk].data(), payload.data(), payload.size());
  return payload;
}

absl::Status TrackedSigns::Settle(uint32_t chunk, Fate fate) {
  const Buffer sent = std::exchange(sent_[chunk], Buffer());
  if (fate != Fate::kCounted) return absl::OkStatus();
  const SignBlock block = SignBlockOf(sent.bytes(), layout_.chunks()[chunk].num_elements,
                                      segments_.num_segments(chunk));
  for (size_t t = 0; t < segments_.num_tiles(chunk); ++t) {
    const SegmentMap::Tile tile = segments_.tile(chunk, t);
    const absl::Span<float> step = absl::MakeSpan(lag_).first(tile.num_elements);
    TALLY_RETURN_IF_ERROR(DecodeSignTile(backend_, block, tile, layout_.live(chunk),
                                         absl::MakeSpan(piece_scales_), step));
    const absl::Span<float> tracked = absl::MakeSpan(tracked_).subspan(
        layout_.chunks()[chunk].offset + tile.begin, tile.num_elements);
    TALLY_RETURN_IF_ERROR(backend_.Blend(1.0f, tracked, 1.0f, step, tracked));
  }
  return absl::OkStatus();
}

double TrackedSigns::LagNorm() const {
  double squares = 0.0;
  for (const double chunk : lag_squares_) squares += chunk;
  return std::sqrt(squares);
}

absl::Status DecodeSignTile(const Backend& backend, const SignBlock& block,
                            const SegmentMap::Tile& tile, absl::Span<const uint8_t> live,
                            absl::Span<float> piece_scales, absl::Span<float> out) {
  const SignBlock piece = TileOf(block, tile, piece_scales);
  return backend.SumSigns(absl::MakeConstSpan(&piece, 1), tile.piece_ends, TileOf(live, tile), out);
}

}  // namespace tally
