// SketchedAMSGrad's arithmetic where a sketch has chosen, an element at a time.
#ifndef TALLY_CLIENT_OPTIMIZERS_SKETCHED_UPDATE_H_
#define TALLY_CLIENT_OPTIMIZERS_SKETCHED_UPDATE_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "client/optimizers/adam_factors.h"

namespace tally {

// What moves of an element; replicated.
struct SketchedElement {
  float parameter = 0;
  float second_moment = 0;   // v
  float largest_moment = 0;  // the largest v so far
};

// Not thread-safe.
class SketchedUpdate {
 public:
  explicit SketchedUpdate(float beta2);

  // By which the element counts in a sketch: 1 / (sqrt(largest v * second_correction) + epsilon).
  static float WeightOf(float largest_moment, float second_correction, float epsilon) {
    return 1.0f / (std::sqrt(largest_moment * second_correction) + epsilon);
  }

  // a_K is the mean of what the participants had of it; `age`, at least 1, counts the steps since
  // it was chosen last (CreateSketchedAmsgrad).
  void Move(const AdamFactors& factors, float a_k, uint64_t age, SketchedElement& element) const;

 private:
  std::vector<double> decay_powers_;  // beta2^age
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SKETCHED_UPDATE_H_
