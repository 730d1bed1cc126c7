#include "client/optimizers/error_feedback.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"
#include "client/optimizers/saved_feedback.h"
#include "codecs/sign_codec.h"

namespace tally {

ErrorFeedback::ErrorFeedback(const Layout* layout, ScaleRule rule,
                             const ScaleGranularity& granularity, const Backend* backend)
    : layout_(*layout),
      backend_(*backend),
      rule_(rule),
      segments_(*layout, granularity),
      sum_(layout->num_compressed()),
      norms_(segments_.num_segments()),
      num_live_(segments_.num_segments()),
      input_(kTileElements),
      piece_scales_(segments_.max_pieces()),
      piece_norms_(segments_.max_pieces()) {
  for (uint32_t c = 0; c < layout_.chunks().size() && !layout_.chunks()[c].dense; ++c) {
    chunks_.emplace_back().contribution =
        Buffer(SignPayloadBytes(layout_.chunks()[c].num_elements, segments_.num_segments(c)));
  }
}

SignBlock ErrorFeedback::LastOf(uint32_t chunk) const {
  return SignBlockOf(chunks_[chunk].contribution.bytes(), layout_.chunks()[chunk].num_elements,
                     segments_.num_segments(chunk));
}

absl::Span<float> ErrorFeedback::SumOf(uint32_t chunk, const SegmentMap::Tile& tile) {
  return absl::MakeSpan(sum_).subspan(layout_.chunks()[chunk].offset + tile.begin,
                                      tile.num_elements);
}

void ErrorFeedback::StartRound() {
  num_accumulated_ = 0;
  std::fill(norms_.begin(), norms_.end(), 0.0);
  std::fill(num_live_.begin(), num_live_.end(), uint64_t{0});
}

absl::StatusOr<absl::optional<Buffer>> ErrorFeedback::Encode(uint32_t chunk, const Input& input) {
  for (; num_accumulated_ <= segments_.last_chunk(chunk); ++num_accumulated_) {
    TALLY_ASSIGN_OR_RETURN(chunks_[num_accumulated_].takes_part,
                           input.takes_part(num_accumulated_));
    if (!chunks_[num_accumulated_].takes_part) continue;
    TALLY_RETURN_IF_ERROR(Accumulate(num_accumulated_, input));
  }
  if (!chunks_[chunk].takes_part) return absl::optional<Buffer>();
  WriteScales(chunk);
  const Buffer& contribution = chunks_[chunk].contribution;
  Buffer payload(contribution.size());
  std::memcpy(payload.data(), contribution.data(), contribution.size());
  return absl::optional<Buffer>(std::move(payload));
}

absl::Status ErrorFeedback::Accumulate(uint32_t chunk, const Input& input) {
  const SignBlock last = LastOf(chunk);
  const SignPayloadParts next =
      SignPartsOf(chunks_[chunk].contribution.bytes(), layout_.chunks()[chunk].num_elements,
                  segments_.num_segments(chunk));
  const size_t first_segment = segments_.first_segment(chunk);
  for (size_t t = 0; t < segments_.num_tiles(chunk); ++t) {
    const SegmentMap::Tile tile = segments_.tile(chunk, t);
    const absl::Span<float> sum = SumOf(chunk, tile);
    const absl::Span<float> joining = absl::MakeSpan(input_).first(tile.num_elements);
    const absl::Span<double> norms = absl::MakeSpan(piece_norms_).first(tile.piece_ends.size());
    TALLY_RETURN_IF_ERROR(input.write(layout_.chunks()[chunk].offset + tile.begin, joining));
    TALLY_RETURN_IF_ERROR(
        backend_.Accumulate({.sum = sum,
                             .input = joining,
                             .counted = chunks_[chunk].last == Last::kCounted
                                            ? TileOf(last, tile, absl::MakeSpan(piece_scales_))
                                            : SignBlock(),
                             .segment_ends = tile.piece_ends,
                             .live = TileOf(layout_.live(chunk), tile),
                             .rule = rule_,
                             .norms = norms}));
    for (size_t piece = 0; piece < norms.size(); ++piece) {
      norms_[first_segment + tile.piece_segments[piece]] += norms[piece];
    }
    // The old bits of this tile have left the sum: the new ones take their place.
    TALLY_RETURN_IF_ERROR(
        backend_.PackSigns(sum, next.bits.subspan(tile.begin / 8, BitmapBytes(tile.num_elements))));
  }
  for (size_t k = 0; k < segments_.num_segments(chunk); ++k) {
    num_live_[first_segment + k] += segments_.num_live(chunk)[k];
  }
  chunks_[chunk].last = Last::kSent;
  return absl::OkStatus();
}

void ErrorFeedback::WriteScales(uint32_t chunk) {
  const SignPayloadParts parts =
      SignPartsOf(chunks_[chunk].contribution.bytes(), layout_.chunks()[chunk].num_elements,
                  segments_.num_segments(chunk));
  const size_t first_segment = segments_.first_segment(chunk);
  for (size_t k = 0; k < parts.scales.size(); ++k) {
    parts.scales[k] = ScaleFromNorm(rule_, norms_[first_segment + k], num_live_[first_segment + k]);
  }
}

void ErrorFeedback::Settle(uint32_t chunk, Fate fate) {
  if (fate == Fate::kAbstained) return;
  chunks_[chunk].last = fate == Fate::kCounted ? Last::kCounted : Last::kNone;
}

absl::Status ErrorFeedback::Add(uint64_t offset, float factor, absl::Span<const float> x) {
  const absl::Span<float> sum = absl::MakeSpan(sum_).subspan(offset, x.size());
  return backend_.Blend(1.0f, sum, factor, x, sum);
}

void ErrorFeedback::ForEachTile(
    absl::FunctionRef<void(uint64_t offset, absl::Span<const float> residual)> visit) const {
  std::vector<float> residual(kTileElements);
  std::vector<float> scales(segments_.max_pieces());
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    for (size_t t = 0; t < segments_.num_tiles(c); ++t) {
      const SegmentMap::Tile tile = segments_.tile(c, t);
      const uint64_t offset = layout_.chunks()[c].offset + tile.begin;
      absl::Span<const float> rest = absl::MakeConstSpan(sum_).subspan(offset, tile.num_elements);
      if (chunks_[c].last == Last::kCounted) {
        const absl::Span<float> left = absl::MakeSpan(residual).first(tile.num_elements);
        const SignBlock leaving = TileOf(LastOf(c), tile, absl::MakeSpan(scales));
        absl::Status status = backend_.SumSigns(absl::MakeConstSpan(&leaving, 1), tile.piece_ends,
                                                TileOf(layout_.live(c), tile), left);
        status.Update(backend_.Blend(1.0f, rest, -1.0f, left, left));
        TALLY_CHECK(status.ok(), status.message());
        rest = left;
      }
      visit(offset, rest);
    }
  }
}

double ErrorFeedback::Norm() const {
  double sum_of_squares = 0.0;
  ForEachTile([&](uint64_t, absl::Span<const float> residual) {
    sum_of_squares += backend_.SumOfSquares(residual);
  });
  return std::sqrt(sum_of_squares);
}

std::vector<float> ErrorFeedback::Residual() const {
  std::vector<float> flat(layout_.num_elements());
  ForEachTile([&](uint64_t offset, absl::Span<const float> residual) {
    std::copy(residual.begin(), residual.end(), flat.begin() + static_cast<std::ptrdiff_t>(offset));
  });
  return flat;
}

void ErrorFeedback::Save(SavedStateWriter& writer) const {
  SavedFeedback feedback = {.sum = sum_};
  for (const Chunk& chunk : chunks_) {
    const bool leaves = chunk.last == Last::kCounted;
    feedback.counted.push_back(leaves ? chunk.contribution.bytes() : absl::Span<const uint8_t>());
  }
  feedback.Save(writer);
}

absl::Status ErrorFeedback::Load(const SavedState& saved) {
  TALLY_ASSIGN_OR_RETURN(const SavedFeedback feedback,
                         LoadFeedback(saved, layout_, segments_, absl::MakeSpan(sum_)));
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    const absl::Span<const uint8_t> counted = feedback.counted[c];
    chunks_[c].last = counted.empty() ? Last::kNone : Last::kCounted;
    if (!counted.empty()) {
      std::memcpy(chunks_[c].contribution.data(), counted.data(), counted.size());
    }
  }
  return absl::OkStatus();
}

}  // namespace tally
