#include "tests/reference/dense_lamb_reference.h"

namespace tally {

DenseLambReference::DenseLambReference(const DenseLambReferenceOptions& options)
    : MethodReference(options.method), lamb_(&model(), options.adam, options.lamb) {}

void DenseLambReference::DenseChunk(size_t chunk, const std::vector<float>& mean) {
  for (size_t k = 0; k < mean.size(); ++k) {
    lamb_.adam.MoveMoments(chunks()[chunk].elements[k], mean[k]);
  }
  lamb_.ChunkMoved(chunk);
}

void DenseLambReference::EndRound() {
  for (size_t t = 0; t < model().tensors.size(); ++t) {
    if (!lamb_.HasMoved(t)) continue;
    lamb_.Step(t, options().learning_rate, options().weight_decay, parameters);
  }
}

}  // namespace tally
