#include "client/optimizers/segment_map.h"

#include <algorithm>

#include "kernels/live_mask.h"

namespace tally {
namespace {

static_assert(kTileElements % kPieceElements == 0, "a tile is made of whole pieces");
static_assert(kPieceElements % 8 == 0, "a tile starts at a byte of a bitmap");

// True if the chunk that begins at `offset` goes on with a segment of the chunk before.
bool StartsInsideSegment(const Layout& layout, const ScaleGranularity& granularity,
                         uint64_t offset) {
  if (offset == 0) return false;
  switch (granularity.unit) {
    case ScaleGranularity::Unit::kBlock:
      return false;
    case ScaleGranularity::Unit::kModel:
      return true;
    case ScaleGranularity::Unit::kTensor:
      break;
  }
  for (size_t tensor = 0; tensor < layout.tensors().size(); ++tensor) {
    if (layout.tensor_offset(tensor) == offset) return false;
  }
  return true;
}

}  // namespace

SegmentMap::SegmentMap(const Layout& layout, const ScaleGranularity& granularity) {
  for (uint32_t c = 0; c < layout.chunks().size() && !layout.chunks()[c].dense; ++c) {
    const std::vector<uint32_t> ends = layout.SegmentEnds(c, granularity);
    Chunk& chunk = chunks_.emplace_back();
    chunk.num_elements = layout.chunks()[c].num_elements;
    const bool goes_on = StartsInsideSegment(layout, granularity, layout.chunks()[c].offset);
    chunk.first_segment = goes_on ? num_segments_ - 1 : num_segments_;
    num_segments_ = chunk.first_segment + ends.size();
    uint32_t begin = 0;
    for (const uint32_t end : ends) {
      chunk.num_live.push_back(static_cast<uint32_t>(CountLive(layout.live(c), begin, end)));
      begin = end;
    }
    CutIntoPieces(ends, chunk);
    for (size_t t = 0; t < num_tiles(c); ++t) {
      max_pieces_ = std::max(max_pieces_, chunk.first_pieces[t + 1] - chunk.first_pieces[t]);
    }
  }
  FindLastChunks();
}

void SegmentMap::FindLastChunks() {
  // Backwards: a chunk's last segment reaches as far as the next chunk's, if that is the same one.
  for (size_t c = chunks_.size(); c-- > 0;) {
    chunks_[c].last_chunk = static_cast<uint32_t>(c);
    if (c + 1 == chunks_.size()) continue;
    const Chunk& next = chunks_[c + 1];
    const bool goes_on =
        next.first_segment + 1 == chunks_[c].first_segment + chunks_[c].num_live.size();
    if (!goes_on) continue;
    chunks_[c].last_chunk =
        next.num_live.size() == 1 ? next.last_chunk : static_cast<uint32_t>(c + 1);
  }
}

void SegmentMap::CutIntoPieces(absl::Span<const uint32_t> segment_ends, Chunk& chunk) {
  uint32_t segment = 0;
  for (uint32_t begin = 0; begin < chunk.num_elements;) {
    const uint32_t tile_begin = begin - begin % kTileElements;
    if (begin == tile_begin) chunk.first_pieces.push_back(chunk.piece_ends.size());
    const uint32_t block_end = begin - begin % kPieceElements + kPieceElements;
    const uint32_t end = std::min(segment_ends[segment], block_end);
    chunk.piece_ends.push_back(end - tile_begin);
    chunk.piece_segments.push_back(segment);
    if (end == segment_ends[segment]) ++segment;
    begin = end;
  }
  chunk.first_pieces.push_back(chunk.piece_ends.size());
}

SegmentMap::Tile SegmentMap::tile(uint32_t chunk, size_t index) const {
  const Chunk& in = chunks_[chunk];
  const size_t first_piece = in.first_pieces[index];
  const size_t num_pieces = in.first_pieces[index + 1] - first_piece;
  const uint32_t begin = static_cast<uint32_t>(index) * kTileElements;
  return {begin, std::min(kTileElements, in.num_elements - begin),
          absl::MakeConstSpan(in.piece_ends).subspan(first_piece, num_pieces),
          absl::MakeConstSpan(in.piece_segments).subspan(first_piece, num_pieces)};
}

SignBlock TileOf(const SignBlock& block, const SegmentMap::Tile& tile,
                 absl::Span<float> piece_scales) {
  const absl::Span<float> scales = piece_scales.first(tile.piece_ends.size());
  for (size_t piece = 0; piece < scales.size(); ++piece) {
    scales[piece] = block.scales[tile.piece_segments[piece]];
  }
  return {TileOf(block.bits, tile), scales};
}

absl::Span<const uint8_t> TileOf(absl::Span<const uint8_t> bitmap, const SegmentMap::Tile& tile) {
  if (bitmap.empty()) return {};
  return bitmap.subspan(tile.begin / 8, BitmapBytes(tile.num_elements));
}

}  // namespace tally
