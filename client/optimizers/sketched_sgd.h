// Sketched-SGD: momentum SGD on the heavy hitters of a count sketch.
#ifndef TALLY_CLIENT_OPTIMIZERS_SKETCHED_SGD_H_
#define TALLY_CLIENT_OPTIMIZERS_SKETCHED_SGD_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/optimizer.h"
#include "client/optimizers/sgd_options.h"
#include "client/optimizers/sketch_options.h"

namespace tally {

struct SketchedSgdOptions {
  SgdOptions sgd = {};
  SketchOptions sketch = {};
};

// Sketched-SGD (Ivkin et al., NeurIPS 2019, Algorithm 2) with momentum correction and masking as in
// its authors' code:
//
//   worker   u = momentum u + g + weight_decay x;  v = v + u     a sketch round on v: w, its k
//   largest worker   x = x - learning_rate w;  u = 0 and v = v - own share on the k elements
//
// w is the mean over the participants, where the paper takes the sum: divide its learning rate by
// the workers' number no more. The layout must be dealt out to groups (Layout::Create). Tensors
// that it marks dense take plain momentum SGD's step. `exchanger` must outlive the optimizer.
// Returns INVALID_ARGUMENT as ValidateSgdOptions and ValidateSketchOptions.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateSketchedSgd(Exchanger* exchanger,
                                                             const SketchedSgdOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SKETCHED_SGD_H_
