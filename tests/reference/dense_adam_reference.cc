#include "tests/reference/dense_adam_reference.h"

namespace tally {

DenseAdamReference::DenseAdamReference(const DenseAdamReferenceOptions& options)
    : MethodReference(options.method), adam_(options.adam, parameters.size()) {}

void DenseAdamReference::DenseChunk(size_t chunk, const std::vector<float>& mean) {
  for (size_t k = 0; k < mean.size(); ++k) {
    const size_t i = chunks()[chunk].elements[k];
    Move(i, adam_.Direction(i, mean[k]));
  }
}

}  // namespace tally
