#include "client/optimizers/birder_moments.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace tally {

BinariseArgs BallotOf(const BirderOptions& options, uint64_t step) {
  const float magnitude_beta =
      options.magnitude_beta.has_value()
          ? std::min(*options.magnitude_beta, 1.0f - 1.0f / static_cast<float>(step))
          : options.beta;
  return {.beta = options.beta,
          .one_minus_beta = 1.0f - options.beta,
          .magnitude_beta = magnitude_beta,
          .one_minus_magnitude_beta = 1.0f - magnitude_beta};
}

float ShareOf(float moment, float magnitude) {
  return magnitude > 0.0f ? std::clamp(moment / magnitude, -1.0f, 1.0f) : 0.0f;
}

void MoveShares(const BirderOptions& options, uint64_t step, absl::Span<const float> gradient,
                absl::Span<float> moment, absl::Span<float> magnitude, absl::Span<float> shares) {
  const BinariseArgs factors = BallotOf(options, step);
  for (size_t i = 0; i < gradient.size(); ++i) {
    moment[i] = factors.beta * moment[i] + factors.one_minus_beta * gradient[i];
    magnitude[i] = factors.magnitude_beta * magnitude[i] +
                   factors.one_minus_magnitude_beta * std::fabs(gradient[i]);
    shares[i] = ShareOf(moment[i], magnitude[i]);
  }
}

}  // namespace tally
