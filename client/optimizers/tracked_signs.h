// The worker's side of a tracking method: what the aggregator believes its gradient to be.
#ifndef TALLY_CLIENT_OPTIMIZERS_TRACKED_SIGNS_H_
#define TALLY_CLIENT_OPTIMIZERS_TRACKED_SIGNS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "client/optimizers/round_driver.h"
#include "client/optimizers/segment_map.h"
#include "codecs/layout.h"
#include "kernels/backend.h"

namespace tally {

// Markov compression by scaled signs (CD-Adam, algorithm 1, lines 3 to 5) over the compressed part
// of a layout:
//
//   Encode:  c = C(gradient - tracked)
//   Settle:  tracked += c, if a result counted it; else nothing changes
//
// Scales are per block of `granularity`, which must be of blocks: none crosses a chunk. Masked
// elements count in no scale and are tracked at zero. Not thread-safe; the caller has set the float
// environment.
class TrackedSigns {
 public:
  // `layout` and `backend` must outlive this. Tracking starts at zero.
  TrackedSigns(const Layout* layout, ScaleRule rule, const ScaleGranularity& granularity,
               const Backend* backend);

  const SegmentMap& segments() const { return segments_; }

  // The contribution to a compressed chunk; `gradient` [chunk.num_elements] is finite.
  absl::StatusOr<Buffer> Encode(uint32_t chunk, absl::Span<const float> gradient);
  // What became of it.
  absl::Status Settle(uint32_t chunk, Fate fate);

  // [num_compressed] Between rounds whoever tracks may set it: zero where masked.
  absl::Span<float> tracked() { return absl::MakeSpan(tracked_); }
  absl::Span<const float> tracked() const { return tracked_; }
  // Norm (2) of gradient - tracked as of the last Encode of every chunk: what is not tracked yet.
  double LagNorm() const;

 private:
  const Layout& layout_;
  const Backend& backend_;
  const ScaleRule rule_;
  const SegmentMap segments_;
  std::vector<float> tracked_;
  std::vector<Buffer> sent_;           // by chunk: the contribution whose fate is open
  std::vector<double> lag_squares_;    // by chunk
  std::vector<float> lag_;             // of one tile
  std::vector<float> piece_scales_;    // of one tile
  std::vector<double> piece_norms_;    // of one tile
  std::vector<double> segment_norms_;  // of one chunk
};

// out = what the tile of a sign payload stands for. `piece_scales` [segments.max_pieces()] is
// scratch.
absl::Status DecodeSignTile(const Backend& backend, const SignBlock& block,
                            const SegmentMap::Tile& tile, absl::Span<const uint8_t> live,
                            absl::Span<float> piece_scales, absl::Span<float> out);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_TRACKED_SIGNS_H_
