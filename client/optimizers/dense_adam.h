// Adam with uncompressed gradients: the yardstick.
#ifndef TALLY_CLIENT_OPTIMIZERS_DENSE_ADAM_H_
#define TALLY_CLIENT_OPTIMIZERS_DENSE_ADAM_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/adam_options.h"
#include "client/optimizers/optimizer.h"
#include "kernels/dtype.h"

namespace tally {

struct DenseAdamOptions {
  AdamOptions adam = {};
  // Step with the largest second moment so far (Reddi et al. 2018). Kept as a maximum of the
  // uncorrected moment.
  bool amsgrad = false;
  // Number format of the exchange.
  DType dtype = DType::kFloat32;
};

// Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019) on the mean
// gradient of the participants. `exchanger` must outlive the optimizer.
// Returns INVALID_ARGUMENT as ValidateAdamOptions, and if `dtype` is no number format.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateDenseAdam(Exchanger* exchanger,
                                                           const DenseAdamOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DENSE_ADAM_H_
