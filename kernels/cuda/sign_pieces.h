// How the sign kernels divide chunks among warps.
#ifndef TALLY_KERNELS_CUDA_SIGN_PIECES_H_
#define TALLY_KERNELS_CUDA_SIGN_PIECES_H_

#include <cstdint>
#include <vector>

#include "kernels/sign_block.h"

namespace tally::cuda {

// The elements over which a norm is summed before it is added to others (Backend::SumOfSquares).
inline constexpr uint32_t kPieceElements = 4096;

// A warp's work: elements [begin, begin + count) of a chunk, all of one segment. It starts at a
// multiple of kPieceElements from the segment's first element.
struct SignPiece {
  uint32_t chunk;  // position in the batch
  uint32_t segment;
  uint32_t begin;
  uint32_t count;
};

// A segment of several pieces.
struct SplitSegment {
  uint32_t chunk;
  uint32_t segment;
  uint32_t first_piece;  // index in SignPieces::split
  uint32_t num_pieces;
};

struct SignPieces {
  // Segments that are one piece each.
  std::vector<SignPiece> whole;
  // The pieces of all others, segment by segment, in order.
  std::vector<SignPiece> split;
  std::vector<SplitSegment> split_segments;

  // Adds the segments of the batch's next chunk. Returns whether two pieces of it share a 32-bit
  // word of its bitmap.
  bool Add(uint32_t chunk, SegmentEnds segment_ends);
};

}  // namespace tally::cuda

#endif  // TALLY_KERNELS_CUDA_SIGN_PIECES_H_
