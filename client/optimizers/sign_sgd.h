// signSGD with momentum and majority vote: one bit per parameter each way.
#ifndef TALLY_CLIENT_OPTIMIZERS_SIGN_SGD_H_
#define TALLY_CLIENT_OPTIMIZERS_SIGN_SGD_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/optimizer.h"
#include "client/optimizers/sgd_options.h"

namespace tally {

// Signum with majority vote (Bernstein et al., ICLR 2019, Algorithm 1):
//
//   worker      m = momentum m + (1 - momentum) g;  up: sign(m)
//   aggregator  down: the majority's sign; a fair coin where the vote is tied
//   worker      x = x - learning_rate (sign + weight_decay x)
//
// The learning rate is the distance that every parameter moves in every step: 1e-4 to 1e-3, not
// that of SGD. A vote that misses its round is lost. Tensors that the layout marks dense step by
// the sign of the momentum of the mean gradient. `exchanger` must outlive the optimizer. Returns
// INVALID_ARGUMENT as ValidateSgdOptions, and if the layout deals its elements out.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateSignSgd(Exchanger* exchanger,
                                                         const SgdOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SIGN_SGD_H_
