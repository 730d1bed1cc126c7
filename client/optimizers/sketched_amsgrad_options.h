// Settings of SketchedAMSGrad.
#ifndef TALLY_CLIENT_OPTIMIZERS_SKETCHED_AMSGRAD_OPTIONS_H_
#define TALLY_CLIENT_OPTIMIZERS_SKETCHED_AMSGRAD_OPTIONS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "client/optimizers/adam_options.h"
#include "client/optimizers/method_parts.h"
#include "client/optimizers/sketch_options.h"
#include "codecs/layout.h"
#include "kernels/dtype.h"

namespace tally {

struct SketchedAmsgradOptions {
  AdamOptions adam = {};
  SketchOptions sketch = {};
  // Rounds of dense AMSGrad before the first sketch, at least 1: they fill the second moment, by
  // which all that follows is weighted.
  uint64_t warmup_rounds = 1;
  // Number format of warm-up rounds and of dense tensors.
  DType dense_dtype = DType::kFloat32;
};

// Returns INVALID_ARGUMENT as ValidateAdamOptions and ValidateSketchOptions, and if `warmup_rounds`
// is 0.
absl::Status ValidateSketchedAmsgradOptions(const SketchedAmsgradOptions& options,
                                            const Layout& layout);

// What it shares with all methods.
MethodOptions MethodOptionsOf(const SketchedAmsgradOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SKETCHED_AMSGRAD_OPTIONS_H_
