// Adam and AMSGrad on the mean gradient: see method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_DENSE_ADAM_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_DENSE_ADAM_REFERENCE_H_

#include <cstddef>
#include <vector>

#include "tests/reference/method_reference.h"
#include "tests/reference/reference_adam.h"

namespace tally {

struct DenseAdamReferenceOptions {
  MethodReferenceOptions method;
  ReferenceAdamOptions adam;
};

class DenseAdamReference final : public MethodReference {
 public:
  explicit DenseAdamReference(const DenseAdamReferenceOptions& options);

 private:
  void BeginRound() override { adam_.BeginStep(); }
  bool IsDense(size_t) const override { return true; }
  void CompressedChunk(size_t) override {}
  void DenseChunk(size_t chunk, const std::vector<float>& mean) override;

  ReferenceAdam adam_;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_DENSE_ADAM_REFERENCE_H_
