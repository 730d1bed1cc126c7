// SGD with momentum and uncompressed gradients: the yardstick of the methods without a variance.
#ifndef TALLY_CLIENT_OPTIMIZERS_DENSE_SGD_H_
#define TALLY_CLIENT_OPTIMIZERS_DENSE_SGD_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/optimizer.h"
#include "client/optimizers/sgd_options.h"

namespace tally {

// Polyak's momentum on the mean gradient g of the participants, with decoupled weight decay:
//   u = momentum * u + g;  x = x - learning_rate * (u + weight_decay * x)
// `exchanger` must outlive the optimizer.
// Returns INVALID_ARGUMENT as ValidateSgdOptions.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateDenseSgd(Exchanger* exchanger,
                                                          const SgdOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DENSE_SGD_H_
