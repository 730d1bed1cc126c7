// What is the same for all elements in Adam's step.
#ifndef TALLY_CLIENT_OPTIMIZERS_ADAM_FACTORS_H_
#define TALLY_CLIENT_OPTIMIZERS_ADAM_FACTORS_H_

#include "absl/status/status.h"
#include "client/optimizers/adam_options.h"
#include "client/saved_state.h"
#include "kernels/backend.h"

namespace tally {

// The settings, and the bias corrections of the step under way. Replicated state: equal on all
// workers. Powers of beta are products in fp64, one more factor a step; a correction is computed in
// fp64 and rounded to fp32 once: no libm, so hosts agree. Not thread-safe.
class AdamFactors {
 public:
  explicit AdamFactors(const AdamOptions& options) : options_(options) {}

  // Once per step, before the rest: moves the powers of beta on; beta2's only if this step moves
  // the second moment.
  void BeginStep(bool moves_second_moment = true);

  void set_learning_rate(float learning_rate) { options_.learning_rate = learning_rate; }
  const AdamOptions& options() const { return options_; }

  float one_minus_beta1() const { return 1.0f - options_.beta1; }
  // 1 / (1 - beta1^t) and 1 / (1 - beta2^t), or 1 without bias correction; t counts the steps that
  // moved the moment.
  float first_correction() const;
  float second_correction() const;
  // 1 - beta2^t, whatever the options say: what the mean of v is short of that of g^2.
  double second_weight() const { return 1.0 - second_power_; }

  // Adam's step, and the one whose variance no longer changes, under a correction of the caller's.
  // Spans are left to the caller.
  AdamArgs Step() const;
  MomentumArgs MomentumStep(float second_correction) const;

  void Save(SavedStateWriter& writer) const;
  // Returns INVALID_ARGUMENT if the saved ones have another size; then nothing has changed.
  absl::Status Load(const SavedState& saved);

 private:
  AdamOptions options_;
  double first_power_ = 1.0;
  double second_power_ = 1.0;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_ADAM_FACTORS_H_
