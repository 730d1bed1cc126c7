// How a compressed part falls into segments, and these into the pieces that the kernels see.
#ifndef TALLY_CLIENT_OPTIMIZERS_SEGMENT_MAP_H_
#define TALLY_CLIENT_OPTIMIZERS_SEGMENT_MAP_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "client/optimizers/tile.h"
#include "codecs/layout.h"
#include "kernels/sign_block.h"

namespace tally {

// A segment's norm is the sum, in fp64 and in order, of the norms of its pieces: the intersections
// of the segment with the blocks of this many elements into which each chunk is cut from its start.
// Scales depend on it.
inline constexpr uint32_t kPieceElements = 4096;

// Segments of the whole compressed part are numbered through, in the order of the flat vector; a
// segment may reach over several chunks. Immutable, so any number of threads may read it.
class SegmentMap {
 public:
  // The part of a chunk that kernels see in one call.
  struct Tile {
    uint32_t begin = 0;  // element of the chunk; a multiple of kTileElements
    uint32_t num_elements = 0;
    SegmentEnds piece_ends;                     // [num_pieces] relative to begin
    absl::Span<const uint32_t> piece_segments;  // [num_pieces] which of the chunk's segments
  };

  // `granularity` is legal for the layout.
  SegmentMap(const Layout& layout, const ScaleGranularity& granularity);

  size_t num_segments() const { return num_segments_; }
  // The largest number of pieces in a tile.
  size_t max_pieces() const { return max_pieces_; }

  // The rest takes a compressed chunk of the layout.

  // Number of segments that have elements in the chunk.
  size_t num_segments(uint32_t chunk) const { return chunks_[chunk].num_live.size(); }
  // Number of the first of them.
  size_t first_segment(uint32_t chunk) const { return chunks_[chunk].first_segment; }
  // [num_segments(chunk)] unmasked elements of each of them within the chunk.
  absl::Span<const uint32_t> num_live(uint32_t chunk) const { return chunks_[chunk].num_live; }
  // The last chunk into which a segment of this one reaches.
  uint32_t last_chunk(uint32_t chunk) const { return chunks_[chunk].last_chunk; }

  size_t num_tiles(uint32_t chunk) const { return chunks_[chunk].first_pieces.size() - 1; }
  Tile tile(uint32_t chunk, size_t index) const;

 private:
  struct Chunk {
    uint32_t num_elements = 0;
    size_t first_segment = 0;
    uint32_t last_chunk = 0;
    std::vector<uint32_t> num_live;
    std::vector<uint32_t> piece_ends;
    std::vector<uint32_t> piece_segments;
    std::vector<size_t> first_pieces;  // [num_tiles + 1] where the pieces of each tile begin
  };

  static void CutIntoPieces(absl::Span<const uint32_t> segment_ends, Chunk& chunk);

  void FindLastChunks();

  std::vector<Chunk> chunks_;  // the compressed ones: they come first
  size_t num_segments_ = 0;
  size_t max_pieces_ = 0;
};

// The tile's elements of a sign block of a whole chunk. The block's scales, one per segment, are
// spread to one per piece in `piece_scales` [>= max_pieces()], which the result shares; it shares
// the block's bits too.
SignBlock TileOf(const SignBlock& block, const SegmentMap::Tile& tile,
                 absl::Span<float> piece_scales);

// The tile's part of a bitmap over a chunk; empty if `bitmap` is.
absl::Span<const uint8_t> TileOf(absl::Span<const uint8_t> bitmap, const SegmentMap::Tile& tile);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SEGMENT_MAP_H_
