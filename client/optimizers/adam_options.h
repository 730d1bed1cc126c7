// Settings of the Adam family.
#ifndef TALLY_CLIENT_OPTIMIZERS_ADAM_OPTIONS_H_
#define TALLY_CLIENT_OPTIMIZERS_ADAM_OPTIONS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "client/optimizers/optimizer.h"
#include "kernels/backend.h"

namespace tally {

// The settings that all Adam methods share, with their usual defaults and ranges.
struct AdamOptions {
  float learning_rate = 1e-3f;  // positive
  float beta1 = 0.9f;           // [0, 1)
  float beta2 = 0.999f;         // [0, 1)
  float epsilon = 1e-8f;        // not negative; added outside the root
  float weight_decay = 0.0f;    // not negative; decoupled
  // Divide the moments by 1 - beta^t.
  bool bias_correction = true;
  NonFinitePolicy non_finite = NonFinitePolicy::kAbstain;
  // A compressed step is measured (Optimizer::quality) if so many have passed since the one before;
  // 0: none is. Measuring every step would make its arithmetic about a third dearer.
  uint64_t quality_interval = 10;
  // Null: the fastest one that computes on the host. All give the same bits.
  const Backend* backend = nullptr;
};

// Returns INVALID_ARGUMENT, naming the field, if one is out of its range or not finite.
absl::Status ValidateAdamOptions(const AdamOptions& options);

// The chosen back end, or the fastest one that computes on the host.
const Backend& BackendOf(const AdamOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_ADAM_OPTIONS_H_
