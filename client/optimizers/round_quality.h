// How much of what a worker put into a lossy round came back out of it.
#ifndef TALLY_CLIENT_OPTIMIZERS_ROUND_QUALITY_H_
#define TALLY_CLIENT_OPTIMIZERS_ROUND_QUALITY_H_

#include <cstdint>

#include "absl/types/optional.h"

namespace tally {

// Of rounds over count sketches; over the same elements as RoundQuality, in its units, in which the
// sketch sees an input x. K are the elements of the update.
struct SketchQuality {
  // ||x on K||^2 / ||x||^2: what part of this worker's energy lies where the round moved anything;
  // 0 if the input is zero.
  double energy_share = 0;
  // Candidates that the first halves proposed, and those of them that are in K.
  uint64_t num_candidates = 0;
  uint64_t num_chosen = 0;
  // ||x|| / sqrt(columns), the largest of all groups: a bound on the standard deviation of one
  // row's estimate of an element, whatever else the group holds. The median of r rows is off by
  // more than twice as much with a probability of at most 0.16, 0.10 and 0.07 for r = 3, 5, 7; if
  // the noise is Gaussian, its standard deviation is about 1.25 / sqrt(r) of it. The aggregator's
  // sketch is that of the workers' mean, whose norm is no larger than the largest of theirs.
  double error_bound = 0;
  // The smallest magnitude of the update on K. Below the error bound, what was chosen is luck.
  double smallest_chosen = 0;
};

// One round's update against what this worker put in: its input x and the update y, in the same
// units.
//
//   method             input x of this worker                     update y
//   onebit_adam,       a: its residual and its own new momentum   the shared momentum
//     onebit_lamb        (onebit_lamb: times the layer's scale)
//   zeroone_adam       a: its residual, and its gradient or,      their mean
//                        after the freeze, what it did alone
//   birder             u = m / b, of which its votes were drawn   Q
//   cd_adam            its gradient or momentum, in its units     the shared one
//   sign_sgd           its momentum                               the signs, in the best scale
//   topk_sgd           a: its residual and its gradient           the mean of what was sent
//   sketched_sgd       v: what it has not taken out yet           the mean w on K, else 0
//   sketched_amsgrad   its step, a / (sqrt(largest v) + epsilon)  the same of the mean on K, else 0
//
// Signs of sign_sgd have no scale of their own: they are given the one that brings them closest to
// x. All figures are over the compressed elements of the chunks in which this worker took part and
// of which a result came. Whether the result counted its contribution does not matter: a miss shows
// as an update that resembles its input less. Masked elements are zero in updates.
//
// Diagnostics: computed in fp64 in a fixed order from this worker's own numbers; nothing that a
// method does depends on them.
struct RoundQuality {
  // The step, counted from 1.
  uint64_t step = 0;
  // Elements that were measured.
  uint64_t num_elements = 0;
  double input_norm = 0;   // ||x||_2
  double update_norm = 0;  // ||y||_2
  // x.y / (||x|| ||y||); 1 if both are zero, 0 if one is.
  double cosine = 0;
  // ||x - y|| / ||x||, to about 1e-7; 0 if both are zero, infinite if x alone is.
  double relative_error = 0;
  // OptimizerStatistics::residual_norm: of the whole residual, in its own units.
  double residual_norm = 0;
  // Set if the method sketches.
  absl::optional<SketchQuality> sketch = absl::nullopt;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_ROUND_QUALITY_H_
