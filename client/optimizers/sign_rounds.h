// The compressed part of a layout in sign rounds: what goes out, and what comes back.
#ifndef TALLY_CLIENT_OPTIMIZERS_SIGN_ROUNDS_H_
#define TALLY_CLIENT_OPTIMIZERS_SIGN_ROUNDS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/exchanger.h"
#include "client/optimizers/dense_carry.h"
#include "client/optimizers/error_feedback.h"
#include "client/optimizers/quality_meter.h"
#include "client/optimizers/round_driver.h"
#include "client/optimizers/segment_map.h"
#include "client/saved_state.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "kernels/backend.h"

namespace tally {

// A worker's side of two-way sign exchanges, whatever it is that a method exchanges: the residual,
// the descriptor, and the decoding of results, tile by tile. It takes compressed chunks only. Not
// thread-safe; the caller has set the float environment (base/float_environment.h).
class SignRounds {
 public:
  // Elements [offset, offset + num_elements) of the flat vector.
  struct Range {
    uint64_t offset = 0;
    uint32_t num_elements = 0;
  };

  // `exchange` is a SignExchange that is legal for the layout, which must outlive this, as must
  // `backend`. The residual starts at zero.
  SignRounds(const Exchange& exchange, const Layout* layout, const Backend* backend);

  // Before the first Encode of a round. `meter`, whose step is open, gets what was put in against
  // the results; it outlives the round. Null: nobody measures.
  void StartRound(QualityMeter* meter = nullptr);
  // As ErrorFeedback::Encode.
  absl::StatusOr<ChunkContribution> Encode(uint32_t chunk, const ErrorFeedback::Input& input);
  // What became of it; before the result is decoded.
  void Settle(const ChunkResult& result, Fate fate);

  // The chunk falls into tiles of at most kTileElements.
  size_t num_tiles(uint32_t chunk) const { return residual_->segments().num_tiles(chunk); }
  Range range(uint32_t chunk, size_t tile) const;
  // Writes what a result that exchanged something stands for on one of its tiles; `out`
  // [range.num_elements].
  absl::Status Decode(const ChunkResult& result, size_t tile, absl::Span<float> out);

  // As ErrorFeedback::Add.
  absl::Status Add(uint64_t offset, float factor, absl::Span<const float> x) {
    return residual_->Add(offset, factor, x);
  }
  // Empties the carry of all compressed chunks; `join` adds what each had to the residual.
  absl::Status TakeCarry(
      DenseCarry& carry,
      absl::FunctionRef<absl::Status(uint64_t offset, absl::Span<const float> carried)> join);

  // Forgets the residual, and lets the aggregator forget its own before the chunk's next exchange:
  // every descriptor says so until a result has come of one. Between rounds.
  void Zero();

  // As ErrorFeedback.
  double Norm() const { return residual_->Norm(); }
  std::vector<float> Residual() const { return residual_->Residual(); }
  void Save(SavedStateWriter& writer) const;
  // Returns INVALID_ARGUMENT if the saved one has other sizes; then nothing has changed.
  absl::Status Load(const SavedState& saved);

 private:
  std::unique_ptr<ErrorFeedback> NewResidual() const;
  void Measure(const ChunkResult& result);

  const Exchange exchange_;
  const Layout& layout_;
  const Backend& backend_;
  std::unique_ptr<ErrorFeedback> residual_;
  std::vector<uint8_t> zeroing_;     // by compressed chunk: 1 until the aggregator has forgotten
  std::vector<float> piece_scales_;  // of one tile
  QualityMeter* meter_ = nullptr;    // of the present round; null: it is not measured
  std::vector<float> measured_;      // of one tile
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SIGN_ROUNDS_H_
