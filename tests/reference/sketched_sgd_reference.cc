#include "tests/reference/sketched_sgd_reference.h"

namespace tally {

SketchedSgdReference::SketchedSgdReference(const SketchedSgdReferenceOptions& options)
    : SketchRoundsReference(options.method, options.sketch),
      momentum_(options.momentum),
      dense_u_(parameters.size()) {
  u_.assign(num_workers(), std::vector<float>(parameters.size()));
}

float SketchedSgdReference::Input(size_t worker, size_t element) {
  float& u = u_[worker][element];
  u = momentum_ * u + gradient(worker, element);
  u = u + options().weight_decay * parameters[element];
  return u;
}

void SketchedSgdReference::Update(size_t element, float value) {
  parameters[element] = parameters[element] - options().learning_rate * value;
}

void SketchedSgdReference::DenseChunk(size_t chunk, const std::vector<float>& mean) {
  for (size_t k = 0; k < mean.size(); ++k) {
    const size_t i = chunks()[chunk].elements[k];
    dense_u_[i] = momentum_ * dense_u_[i] + mean[k];
    Move(i, dense_u_[i]);
  }
}

}  // namespace tally
