// LAMB with uncompressed gradients: the yardstick of 1-bit LAMB.
#ifndef TALLY_CLIENT_OPTIMIZERS_DENSE_LAMB_H_
#define TALLY_CLIENT_OPTIMIZERS_DENSE_LAMB_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/adam_options.h"
#include "client/optimizers/layer_rate.h"
#include "client/optimizers/optimizer.h"
#include "kernels/dtype.h"

namespace tally {

struct DenseLambOptions {
  AdamOptions adam = {};
  LayerRateOptions rates = {};
  // Number format of the exchange.
  DType dtype = DType::kFloat32;
};

// LAMB (You et al., ICLR 2020) on the mean gradient of the participants: what 1-bit LAMB does in
// its warm-up, for ever. `exchanger` must outlive the optimizer.
// Returns INVALID_ARGUMENT as ValidateAdamOptions and ValidateLayerRateOptions, and if `dtype` is
// no number format.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateDenseLamb(Exchanger* exchanger,
                                                           const DenseLambOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DENSE_LAMB_H_
