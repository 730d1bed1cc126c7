// SGD with momentum on the largest gradient elements, with error feedback.
#ifndef TALLY_CLIENT_OPTIMIZERS_TOPK_SGD_H_
#define TALLY_CLIENT_OPTIMIZERS_TOPK_SGD_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/optimizer.h"
#include "client/optimizers/sgd_options.h"

namespace tally {

struct TopkSgdOptions {
  SgdOptions sgd = {};
  // Of each chunk's elements, the share that every worker sends: (0, 1].
  double share = 0.01;
};

// Top-k compression with error feedback (Stich et al., NeurIPS 2018), momentum after the exchange:
//
//   worker      a = a + g;  up: the largest elements of a; they leave a once counted
//   aggregator  down: the mean w of what was sent, zero where nobody sent
//   worker      u = momentum u + w;  x = x - learning_rate (u + weight_decay x)
//
// `exchanger` must outlive the optimizer.
// Returns INVALID_ARGUMENT as ValidateSgdOptions, if `share` is out of its range, and if the layout
// deals its elements out.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateTopkSgd(Exchanger* exchanger,
                                                         const TopkSgdOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_TOPK_SGD_H_
