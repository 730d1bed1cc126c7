// 1-bit LAMB: LAMB until the variance is steady, then one bit per parameter each way.
#ifndef TALLY_CLIENT_OPTIMIZERS_ONEBIT_LAMB_H_
#define TALLY_CLIENT_OPTIMIZERS_ONEBIT_LAMB_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/layer_rate.h"
#include "client/optimizers/onebit_options.h"
#include "client/optimizers/optimizer.h"

namespace tally {

struct OneBitLambOptions {
  // Rounds, warm-up, freeze and scales are those of 1-bit Adam.
  OneBitAdamOptions onebit = {};
  LayerRateOptions rates = {};
};

// 1-bit LAMB (Li et al., arXiv 2104.06069; docs/algorithms.md says where this departs from it).
// Tensors that the layout marks dense are exchanged uncompressed for ever, by LAMB. `exchanger`
// must outlive the optimizer.
// Returns INVALID_ARGUMENT, naming the field, if an option is out of its range.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateOneBitLamb(Exchanger* exchanger,
                                                            const OneBitLambOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_ONEBIT_LAMB_H_
