#include "kernels/cuda/sign_pieces.h"

#include <algorithm>

namespace tally::cuda {

bool SignPieces::Add(uint32_t chunk, SegmentEnds segment_ends) {
  bool shares_words = false;
  uint32_t begin = 0;
  for (uint32_t segment = 0; segment < segment_ends.size(); ++segment) {
    const uint32_t end = segment_ends[segment];
    shares_words = shares_words || begin % 32 != 0;
    if (end - begin <= kPieceElements) {
      whole.push_back({chunk, segment, begin, end - begin});
    } else {
      const uint32_t num_pieces = (end - begin - 1) / kPieceElements + 1;
      split_segments.push_back({chunk, segment, static_cast<uint32_t>(split.size()), num_pieces});
      for (uint32_t i = 0; i < num_pieces; ++i) {
        const uint32_t piece_begin = begin + i * kPieceElements;
        split.push_back({chunk, segment, piece_begin, std::min(kPieceElements, end - piece_begin)});
      }
    }
    begin = end;
  }
  return shares_words;
}

}  // namespace tally::cuda
