// Adam's moments as docs/algorithms.md writes them, element by element.
#ifndef TALLY_TESTS_REFERENCE_REFERENCE_ADAM_H_
#define TALLY_TESTS_REFERENCE_REFERENCE_ADAM_H_

#include <cstddef>
#include <vector>

namespace tally {

struct ReferenceAdamOptions {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  bool bias_correction = true;
  bool amsgrad = false;
};

struct ReferenceAdam {
  ReferenceAdam(const ReferenceAdamOptions& adam_options, size_t num_elements);

  // Once per step, before the rest. `moves_v`: whether this one moves v.
  void BeginStep(bool moves_v = true);
  // 1 / (1 - beta1^t) and 1 / (1 - beta2^t), or 1.
  float c1() const;
  float c2() const;
  // Moves the moments of an element on.
  void MoveMoments(size_t element, float gradient);
  // The same; returns (m c1) / (sqrt(w c2) + epsilon).
  float Direction(size_t element, float gradient);
  // sqrt(w c2) + epsilon, where w is v or the largest v.
  float Denominator(size_t element) const { return Denominator(element, c2()); }
  float Denominator(size_t element, float correction) const;

  const ReferenceAdamOptions options;
  double first_power = 1.0;
  double second_power = 1.0;
  std::vector<float> m;
  std::vector<float> v;
  std::vector<float> largest;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_REFERENCE_ADAM_H_
