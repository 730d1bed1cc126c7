// When the variance of 1-bit Adam is steady enough to be frozen.
#ifndef TALLY_CLIENT_OPTIMIZERS_VARIANCE_FREEZE_H_
#define TALLY_CLIENT_OPTIMIZERS_VARIANCE_FREEZE_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "client/optimizers/adam_factors.h"
#include "client/optimizers/adam_state.h"
#include "client/saved_state.h"
#include "codecs/layout.h"
#include "kernels/backend.h"

namespace tally {

struct VarianceFreezeOptions {
  // Freeze after this many steps. Unset: the automatic rule (OneBitAdamOptions).
  absl::optional<uint64_t> warmup_steps = absl::nullopt;
  float threshold = 0.96f;
  uint64_t interval_steps = 1000;
  uint64_t min_steps = 0;
};

// Looks at replicated state alone, so that all workers freeze at the same step. Not thread-safe.
class VarianceFreeze {
 public:
  explicit VarianceFreeze(const VarianceFreezeOptions& options) : options_(options) {}

  // The sum over a chunk's second moment (SumOfMagnitudes), before the bias correction.
  using SumOfChunk = absl::FunctionRef<absl::StatusOr<double>(const Layout::Chunk& chunk)>;

  // Asked after each step of the warm-up, `steps` counting it: true if it was the last one. The
  // automatic rule compares sums over the compressed part: chunk by chunk, in order, in fp64.
  // Returns the first error of `sum_of_chunk`.
  absl::StatusOr<bool> IsDue(uint64_t steps, const AdamFactors& factors, const Layout& layout,
                             SumOfChunk sum_of_chunk);
  // The same of a state in the host's memory.
  bool IsDue(uint64_t steps, const AdamState& state, const Layout& layout, const Backend& backend);

  void Save(SavedStateWriter& writer) const;
  // Returns INVALID_ARGUMENT if the saved one has another size; then nothing has changed.
  absl::Status Load(const SavedState& saved);

 private:
  VarianceFreezeOptions options_;
  double last_norm_ = 0.0;  // at the last ask; 0 before the first
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_VARIANCE_FREEZE_H_
