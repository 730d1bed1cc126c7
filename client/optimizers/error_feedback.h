// The worker's residual of a sign exchange: what compression left out, kept for the next round.
#ifndef TALLY_CLIENT_OPTIMIZERS_ERROR_FEEDBACK_H_
#define TALLY_CLIENT_OPTIMIZERS_ERROR_FEEDBACK_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "client/optimizers/round_driver.h"
#include "client/optimizers/segment_map.h"
#include "client/saved_state.h"
#include "codecs/layout.h"
#include "kernels/backend.h"

namespace tally {

// Error feedback over the compressed part of a layout. Of every chunk it keeps the sum a of all
// that was put in and not taken out, and its last contribution c, so that nothing is lost whatever
// becomes of a round:
//
//   Encode:  a' = (a - c if c was counted) + u;  scales and bits of a' are the new c
//   Settle:  counted: c leaves a in the next Encode;  missed: c is forgotten, a stays
//
// Taking out is fused into the next accumulation, because a - c cannot be undone in fp32, and it
// waits through rounds in which the chunk abstains. A method whose u holds a copy of shared state
// gives the copy back after a miss (Add with a negative factor).
//
// The scale of a segment that reaches over several chunks is taken from all of them that take part
// in the round; so the first Encode that needs it accumulates them all. Its norm adds up in fp64
// piece by piece (SegmentMap); masked elements count neither in the norm nor in the number. A scale
// is at most kMaxMagnitude: the rest stays in a.
//
// Not thread-safe; the caller has set the float environment (base/float_environment.h).
class ErrorFeedback {
 public:
  // Where the input comes from.
  struct Input {
    // False: the chunk abstains; nothing is put in. Asked once per chunk and round.
    absl::FunctionRef<absl::StatusOr<bool>(uint32_t chunk)> takes_part;
    // Writes the input's elements [offset, offset + out.size()) of the flat vector. Asked for each
    // element of a chunk that takes part, once per round.
    absl::FunctionRef<absl::Status(uint64_t offset, absl::Span<float> out)> write;
  };

  // `layout` and `backend` must outlive the residual; `granularity` is legal for the layout. It
  // starts at zero.
  ErrorFeedback(const Layout* layout, ScaleRule rule, const ScaleGranularity& granularity,
                const Backend* backend);

  const SegmentMap& segments() const { return segments_; }

  // Before the first Encode of a round.
  void StartRound();

  // The contribution to a compressed chunk, or nothing if it abstains. Chunks come in increasing
  // order, each once per round. Returns the first error of `input`.
  absl::StatusOr<absl::optional<Buffer>> Encode(uint32_t chunk, const Input& input);

  // What became of the contribution.
  void Settle(uint32_t chunk, Fate fate);

  // a += factor * x on elements [offset, offset + x.size()) of the flat vector; between Settle and
  // the next round, for that chunk.
  absl::Status Add(uint64_t offset, float factor, absl::Span<const float> x);

  // a [num_compressed]; between a chunk's Encode and its next one, what Encode made it.
  absl::Span<const float> sum() const { return sum_; }

  // Norm (2) of the residual, without the contributions that are about to leave it. A pass over all
  // of it.
  double Norm() const;
  // It, in the order of the flat vector [num_elements]: zero on the dense part.
  std::vector<float> Residual() const;

  // Between rounds.
  void Save(SavedStateWriter& writer) const;
  // On error the residual is not to be used.
  // Returns INVALID_ARGUMENT if the saved one has other sizes or holds no legal contribution.
  absl::Status Load(const SavedState& saved);

 private:
  enum class Last : uint8_t {
    kNone,     // no contribution, or one that was missed
    kSent,     // its fate is open
    kCounted,  // leaves the sum in the next accumulation
  };

  struct Chunk {
    Last last = Last::kNone;
    bool takes_part = false;  // in this round
    Buffer contribution;      // in the layout of codecs/sign_codec.h
  };

  // Visits the residual tile by tile.
  void ForEachTile(
      absl::FunctionRef<void(uint64_t offset, absl::Span<const float> residual)> visit) const;
  // The chunk's last contribution.
  SignBlock LastOf(uint32_t chunk) const;
  absl::Span<float> SumOf(uint32_t chunk, const SegmentMap::Tile& tile);
  absl::Status Accumulate(uint32_t chunk, const Input& input);
  void WriteScales(uint32_t chunk);

  const Layout& layout_;
  const Backend& backend_;
  const ScaleRule rule_;
  const SegmentMap segments_;
  std::vector<Chunk> chunks_;
  std::vector<float> sum_;          // a [num_compressed]
  uint32_t num_accumulated_ = 0;    // chunks, in this round
  std::vector<double> norms_;       // [num_segments] of this round
  std::vector<uint64_t> num_live_;  // [num_segments] elements behind them
  // Of one tile.
  std::vector<float> input_;
  std::vector<float> piece_scales_;
  std::vector<double> piece_norms_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_ERROR_FEEDBACK_H_
