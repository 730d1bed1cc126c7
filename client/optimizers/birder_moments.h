// Birder's moments m and b, by which a gradient becomes a share of a vote.
#ifndef TALLY_CLIENT_OPTIMIZERS_BIRDER_MOMENTS_H_
#define TALLY_CLIENT_OPTIMIZERS_BIRDER_MOMENTS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "client/optimizers/birder_options.h"
#include "kernels/vote_kernels.h"

namespace tally {

// Of a ballot of step `step`, the first is 1; the spans and draws are left to the caller.
BinariseArgs BallotOf(const BirderOptions& options, uint64_t step);

// u = m / b, which is in [-1, 1]
float ShareOf(float moment, float magnitude);

// Moves both moments by a gradient that all workers have, as BallotOf(options, step) would, and
// writes u to `shares`; all [gradient.size()].
void MoveShares(const BirderOptions& options, uint64_t step, absl::Span<const float> gradient,
                absl::Span<float> moment, absl::Span<float> magnitude, absl::Span<float> shares);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_BIRDER_MOMENTS_H_
