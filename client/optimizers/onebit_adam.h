// 1-bit Adam: Adam until the variance is steady, then one bit per parameter each way.
#ifndef TALLY_CLIENT_OPTIMIZERS_ONEBIT_ADAM_H_
#define TALLY_CLIENT_OPTIMIZERS_ONEBIT_ADAM_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/onebit_options.h"
#include "client/optimizers/optimizer.h"

namespace tally {

// 1-bit Adam (Tang et al., ICML 2021, Algorithm 1; docs/algorithms.md says where this departs from
// it). Tensors that the layout marks dense are exchanged uncompressed for ever, by plain Adam.
// `exchanger` must outlive the optimizer.
// Returns INVALID_ARGUMENT, naming the field, if an option is out of its range.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateOneBitAdam(Exchanger* exchanger,
                                                            const OneBitAdamOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_ONEBIT_ADAM_H_
