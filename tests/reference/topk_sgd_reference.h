// Top-k with error feedback: see method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_TOPK_SGD_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_TOPK_SGD_REFERENCE_H_

#include <cstddef>
#include <vector>

#include "tests/reference/method_reference.h"
#include "tests/reference/reference_ledger.h"

namespace tally {

struct TopkSgdReferenceOptions {
  MethodReferenceOptions method;
  float momentum = 0.9f;
  double share = 0.01;
};

class TopkSgdReference final : public MethodReference {
 public:
  explicit TopkSgdReference(const TopkSgdReferenceOptions& options);

  // a, by worker.
  const std::vector<ReferenceLedger>& ledgers() const { return ledgers_; }

 private:
  void CompressedChunk(size_t chunk) override;
  void DenseChunk(size_t chunk, const std::vector<float>& mean) override;

  const TopkSgdReferenceOptions options_;
  std::vector<ReferenceLedger> ledgers_;
  std::vector<float> u_;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_TOPK_SGD_REFERENCE_H_
