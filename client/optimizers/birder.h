// Birder: one random bit per parameter each way, no scales, no warm-up, no residual.
#ifndef TALLY_CLIENT_OPTIMIZERS_BIRDER_H_
#define TALLY_CLIENT_OPTIMIZERS_BIRDER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/birder_options.h"
#include "client/optimizers/optimizer.h"

namespace tally {

// Birder (Peng et al., NeurIPS 2023): b bounds m elementwise, so u = m / b is a probability's worth
// of sign, and bits drawn from it are unbiased.
//
//   worker      m = beta m + (1 - beta) g;  b = beta b + (1 - beta) |g|;  u = m / b in [-1, 1]
//               up: +1 with probability (1 + u) / 2, else -1
//   aggregator  down: +1 with the share of +1 votes as its probability, else -1: Q
//   worker      x = x - learning_rate (Q + weight_decay x)
//
// A magnitude_beta of its own is that of b once 1 / (1 - magnitude_beta) steps are over; before
// that b is the plain mean of |g| so far. Where no gradient was ever seen the vote is a fair coin,
// so such elements wander: mark them in the layout's zero mask, whose elements stay. A vote that
// misses its round is lost. Tensors that the layout marks dense take the same step with m and b of
// the mean gradient and u in place of Q. `exchanger` must outlive the optimizer. Returns
// INVALID_ARGUMENT, naming the field, if an option is out of its range, or if the layout deals its
// elements out.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateBirder(Exchanger* exchanger,
                                                        const BirderOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_BIRDER_H_
