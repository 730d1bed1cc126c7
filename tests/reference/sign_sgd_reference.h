// Signum with majority vote: see method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_SIGN_SGD_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_SIGN_SGD_REFERENCE_H_

#include <cstddef>
#include <vector>

#include "tests/reference/method_reference.h"

namespace tally {

struct SignSgdReferenceOptions {
  MethodReferenceOptions method;
  float momentum = 0.9f;
};

class SignSgdReference final : public MethodReference {
 public:
  explicit SignSgdReference(const SignSgdReferenceOptions& options);

  // Votes that were tied, so far.
  size_t num_ties() const { return num_ties_; }

 private:
  void CompressedChunk(size_t chunk) override;
  void DenseChunk(size_t chunk, const std::vector<float>& mean) override;

  const float momentum_;
  std::vector<std::vector<float>> m_;  // by worker
  std::vector<float> dense_m_;
  size_t num_ties_ = 0;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_SIGN_SGD_REFERENCE_H_
