#include "tests/reference/reference_adam.h"

#include <cmath>

namespace tally {

ReferenceAdam::ReferenceAdam(const ReferenceAdamOptions& adam_options, size_t num_elements)
    : options(adam_options), m(num_elements), v(num_elements), largest(num_elements) {}

void ReferenceAdam::BeginStep(bool moves_v) {
  first_power *= static_cast<double>(options.beta1);
  if (moves_v) second_power *= static_cast<double>(options.beta2);
}

float ReferenceAdam::c1() const {
  return options.bias_correction ? static_cast<float>(1.0 / (1.0 - first_power)) : 1.0f;
}

float ReferenceAdam::c2() const {
  return options.bias_correction ? static_cast<float>(1.0 / (1.0 - second_power)) : 1.0f;
}

void ReferenceAdam::MoveMoments(size_t element, float gradient) {
  m[element] = options.beta1 * m[element] + (1.0f - options.beta1) * gradient;
  v[element] = options.beta2 * v[element] + (1.0f - options.beta2) * (gradient * gradient);
  if (largest[element] < v[element]) largest[element] = v[element];
}

float ReferenceAdam::Direction(size_t element, float gradient) {
  MoveMoments(element, gradient);
  return m[element] * c1() / Denominator(element);
}

float ReferenceAdam::Denominator(size_t element, float correction) const {
  const float w = options.amsgrad ? largest[element] : v[element];
  return std::sqrt(w * correction) + options.epsilon;
}

}  // namespace tally
