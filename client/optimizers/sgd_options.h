// Settings of the methods that step by a plain learning rate.
#ifndef TALLY_CLIENT_OPTIMIZERS_SGD_OPTIONS_H_
#define TALLY_CLIENT_OPTIMIZERS_SGD_OPTIONS_H_

#include "absl/status/status.h"
#include "client/optimizers/method_parts.h"

namespace tally {

struct SgdOptions {
  float learning_rate = 0.1f;  // positive
  float momentum = 0.9f;       // [0, 1)
  float weight_decay = 0.0f;   // not negative
  MethodOptions method = {};
};

// Returns INVALID_ARGUMENT, naming the field, if one is out of its range or not finite.
absl::Status ValidateSgdOptions(const SgdOptions& options);

// x = x - learning_rate * (direction + weight_decay * x), one rounding per operation. `direction`
// is overwritten; both have the same size.
absl::Status StepAgainst(const SgdOptions& options, const Backend& backend,
                         absl::Span<float> direction, absl::Span<float> x);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SGD_OPTIONS_H_
