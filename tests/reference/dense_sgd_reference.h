// Momentum SGD on the mean gradient: see method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_DENSE_SGD_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_DENSE_SGD_REFERENCE_H_

#include <cstddef>
#include <vector>

#include "tests/reference/method_reference.h"

namespace tally {

struct DenseSgdReferenceOptions {
  MethodReferenceOptions method;
  float momentum = 0.9f;
};

class DenseSgdReference final : public MethodReference {
 public:
  explicit DenseSgdReference(const DenseSgdReferenceOptions& options);

 private:
  bool IsDense(size_t) const override { return true; }
  void CompressedChunk(size_t) override {}
  void DenseChunk(size_t chunk, const std::vector<float>& mean) override;

  const float momentum_;
  std::vector<float> u_;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_DENSE_SGD_REFERENCE_H_
