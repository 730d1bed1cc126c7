// SketchedAMSGrad: AMSGrad on the heavy hitters of a count sketch.
#ifndef TALLY_CLIENT_OPTIMIZERS_SKETCHED_AMSGRAD_H_
#define TALLY_CLIENT_OPTIMIZERS_SKETCHED_AMSGRAD_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/optimizer.h"
#include "client/optimizers/sketched_amsgrad_options.h"

namespace tally {

// SketchedAMSGrad (Xian, Huang, Huang, ICDM 2022), in the form of one unit that docs/algorithms.md
// derives:
//
//   worker   m = beta1 m + (1 - beta1) g;  a = a + learning_rate m / (1 - beta1^t)
//            a sketch round on a with weights 1 / (sqrt(largest v) + epsilon): a_K, its k largest
//   all      on K: h^2 = (a_K / learning_rate)^2 / age;  v = beta2^age v + (1 - beta2^age) h^2
//            x = x - a_K / (sqrt(largest v) + epsilon)
//   worker   a = a - own share on K
//
// `age` counts the rounds since an element was last in K: what waited age rounds is a sum of that
// many momenta, whose square grows with age if they are noise. Moments have Adam's bias
// corrections. The second moment depends on results alone and is the same everywhere. The layout
// must be dealt out to groups. Tensors that it marks dense take AMSGrad's step. `exchanger` must
// outlive the optimizer. Returns INVALID_ARGUMENT as ValidateSketchedAmsgradOptions.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateSketchedAmsgrad(
    Exchanger* exchanger, const SketchedAmsgradOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SKETCHED_AMSGRAD_H_
