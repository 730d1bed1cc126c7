// What every method is made of beside its own state.
#ifndef TALLY_CLIENT_OPTIMIZERS_METHOD_PARTS_H_
#define TALLY_CLIENT_OPTIMIZERS_METHOD_PARTS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/exchanger.h"
#include "client/optimizers/dense_carry.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/optimizer.h"
#include "client/optimizers/quality_meter.h"
#include "client/optimizers/round_driver.h"
#include "client/saved_state.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace tally {

// The settings that all methods share.
struct MethodOptions {
  // Number format of dense exchanges.
  DType dense_dtype = DType::kFloat32;
  NonFinitePolicy non_finite = NonFinitePolicy::kAbstain;
  // A compressed step is measured (Optimizer::quality) if so many have passed since the one before;
  // 0: none is. Measuring every step would make its arithmetic about a third dearer.
  uint64_t quality_interval = 10;
  // Null: the fastest one that computes on the host. All give the same bits.
  const Backend* backend = nullptr;
};

// The rounds of one optimizer, its guard, the dense tensors' exchange and the number of steps. Not
// thread-safe.
class MethodParts {
 public:
  // `exchanger` must outlive the parts.
  MethodParts(Exchanger* exchanger, const MethodOptions& options);

  const Backend& backend() const { return backend_; }
  const Layout& layout() const { return layout_; }
  RoundDriver& driver() { return driver_; }
  const RoundDriver& driver() const { return driver_; }
  InputGuard& guard() { return guard_; }
  // Of the chunks' dense exchanges.
  DenseCarry& carry() { return carry_; }
  uint64_t steps() const { return steps_; }
  // Before a step's first exchange and after its last.
  void BeginStep() { quality_.BeginStep(steps_ + 1); }
  void CountStep() {
    ++steps_;
    quality_.EndStep();
  }
  // Fed by the method with what its compressed exchanges did to their input.
  QualityMeter& quality() { return quality_; }
  const QualityMeter& quality() const { return quality_; }

  // Whether the chunk's gradient may be exchanged; counts it if not.
  // Returns OUT_OF_RANGE under NonFinitePolicy::kStop.
  absl::StatusOr<bool> TakesPart(uint32_t chunk, absl::Span<const float> gradient);

  // A contribution to the mean of a chunk's gradients; `gradient` [chunk.num_elements].
  absl::StatusOr<ChunkContribution> EncodeDense(uint32_t chunk, absl::Span<const float> gradient);
  // What became of it; `gradient` as before. The mean [chunk.num_elements], valid until the next
  // call; empty if nobody took part.
  absl::StatusOr<absl::Span<const float>> TakeDense(const ChunkResult& result, Fate fate,
                                                    absl::Span<const float> gradient);

  // Counters of a method that compresses from its first step on.
  OptimizerStatistics Statistics() const;

  // The writer of a state of `method`, with what the parts hold.
  SavedStateWriter BeginSave(absl::string_view method, StateScope scope) const;
  // Takes it back; `saved` belongs to the method and layout (SavedState::CheckBelongsTo).
  absl::Status Load(const SavedState& saved);

 private:
  const Backend& backend_;
  const Layout& layout_;
  const Exchange dense_exchange_;
  RoundDriver driver_;
  InputGuard guard_;
  DenseCarry carry_;
  std::vector<float> mean_;
  uint64_t steps_ = 0;
  QualityMeter quality_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_METHOD_PARTS_H_
