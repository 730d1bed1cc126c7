// Top-k with error feedback: see method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_TOPK_SGD_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_TOPK_SGD_REFERENCE_H_

#include <cstddef>
#include <vector>

#include "tests/reference/method_reference.h"

namespace tally {

struct TopkSgdReferenceOptions {
  MethodReferenceOptions method;
  float momentum = 0.9f;
  double share = 0.01;
};

class TopkSgdReference final : public MethodReference {
 public:
  explicit TopkSgdReference(const TopkSgdReferenceOptions& options);

 private:
  void CompressedChunk(size_t chunk) override;
  void DenseChunk(size_t chunk, const std::vector<float>& mean) override;

  const TopkSgdReferenceOptions options_;
  std::vector<std::vector<float>> a_;  // by worker
  std::vector<float> u_;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_TOPK_SGD_REFERENCE_H_
