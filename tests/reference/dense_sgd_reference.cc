#include "tests/reference/dense_sgd_reference.h"

namespace tally {

DenseSgdReference::DenseSgdReference(const DenseSgdReferenceOptions& options)
    : MethodReference(options.method), momentum_(options.momentum), u_(parameters.size()) {}

void DenseSgdReference::DenseChunk(size_t chunk, const std::vector<float>& mean) {
  for (size_t k = 0; k < mean.size(); ++k) {
    const size_t i = chunks()[chunk].elements[k];
    u_[i] = momentum_ * u_[i] + mean[k];
    Move(i, u_[i]);
  }
}

}  // namespace tally
