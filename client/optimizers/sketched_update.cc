#include "client/optimizers/sketched_update.h"

#include <algorithm>
#include <cmath>

namespace tally {
namespace {

// beta2^age for ages up to this; beyond it nothing is left of the moment.
constexpr size_t kMaxAge = 65'536;

}  // namespace

SketchedUpdate::SketchedUpdate(float beta2) : decay_powers_({1.0}) {
  while (decay_powers_.size() <= kMaxAge) decay_powers_.push_back(decay_powers_.back() * beta2);
}

void SketchedUpdate::Move(const AdamFactors& factors, float a_k, uint64_t age,
                          SketchedElement& element) const {
  const AdamOptions& adam = factors.options();
  const auto decay = static_cast<float>(decay_powers_[std::min<uint64_t>(age, kMaxAge)]);
  const float waited = a_k / adam.learning_rate;
  const float square = waited * waited / static_cast<float>(age);
  element.second_moment = decay * element.second_moment + (1.0f - decay) * square;
  element.largest_moment = std::max(element.largest_moment, element.second_moment);
  const float root = std::sqrt(element.largest_moment * factors.second_correction()) + adam.epsilon;
  element.parameter -= a_k / root + adam.learning_rate * adam.weight_decay * element.parameter;
}

}  // namespace tally
