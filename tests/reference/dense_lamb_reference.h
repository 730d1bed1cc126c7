// LAMB on the mean gradient: see method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_DENSE_LAMB_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_DENSE_LAMB_REFERENCE_H_

#include <cstddef>
#include <vector>

#include "tests/reference/method_reference.h"
#include "tests/reference/reference_adam.h"
#include "tests/reference/reference_lamb.h"

namespace tally {

struct DenseLambReferenceOptions {
  MethodReferenceOptions method;
  ReferenceAdamOptions adam;
  ReferenceLambOptions lamb;
};

class DenseLambReference final : public MethodReference {
 public:
  explicit DenseLambReference(const DenseLambReferenceOptions& options);

  const ReferenceLamb& lamb() const { return lamb_; }

 private:
  void BeginRound() override { lamb_.BeginStep(); }
  void EndRound() override;
  bool IsDense(size_t) const override { return true; }
  void CompressedChunk(size_t) override {}
  void DenseChunk(size_t chunk, const std::vector<float>& mean) override;

  ReferenceLamb lamb_;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_DENSE_LAMB_REFERENCE_H_
