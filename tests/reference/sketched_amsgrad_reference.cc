#include "tests/reference/sketched_amsgrad_reference.h"

#include <algorithm>

namespace tally {

SketchedAmsgradReference::SketchedAmsgradReference(const SketchedAmsgradReferenceOptions& options)
    : SketchRoundsReference(options.method, options.sketch),
      warmup_rounds_(options.warmup_rounds),
      adam_(options.adam, parameters.size()),
      last_chosen_(parameters.size()) {}

void SketchedAmsgradReference::EndRound() {
  if (!warming_up()) return SketchRoundsReference::EndRound();
  // Who was in a dense round was in K.
  std::fill(last_chosen_.begin(), last_chosen_.end(), round());
  m_.assign(num_workers(), adam_.m);
}

void SketchedAmsgradReference::DenseChunk(size_t chunk, const std::vector<float>& mean) {
  for (size_t k = 0; k < mean.size(); ++k) {
    const size_t i = chunks()[chunk].elements[k];
    Move(i, adam_.Direction(i, mean[k]));
  }
}

float SketchedAmsgradReference::Input(size_t worker, size_t element) {
  const float beta1 = adam_.options.beta1;
  float& m = m_[worker][element];
  m = beta1 * m + (1.0f - beta1) * gradient(worker, element);
  return options().learning_rate * adam_.c1() * m;
}

void SketchedAmsgradReference::Update(size_t element, float value) {
  const uint64_t age = round() - last_chosen_[element];
  last_chosen_[element] = round();
  largest_age_ = std::max(largest_age_, age);
  double power = 1.0;
  for (uint64_t i = 0; i < age; ++i) power *= static_cast<double>(adam_.options.beta2);
  const auto decay = static_cast<float>(power);
  const float waited = value / options().learning_rate;
  float& v = adam_.v[element];
  v = decay * v + (1.0f - decay) * (waited * waited / static_cast<float>(age));
  adam_.largest[element] = std::max(adam_.largest[element], v);
  float& x = parameters[element];
  x = x -
      (value / adam_.Denominator(element) + options().learning_rate * options().weight_decay * x);
}

}  // namespace tally
