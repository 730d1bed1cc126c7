// 1-bit LAMB: see method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_ONEBIT_LAMB_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_ONEBIT_LAMB_REFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/reference/reference_adam.h"
#include "tests/reference/reference_lamb.h"
#include "tests/reference/reference_signs.h"
#include "tests/reference/sign_rounds_reference.h"

namespace tally {

struct OneBitLambReferenceOptions {
  MethodReferenceOptions method;
  ReferenceAdamOptions adam;
  ReferenceLambOptions lamb;
  reference::SignRule signs;
  uint64_t warmup_rounds = 1;
};

class OneBitLambReference final : public SignRoundsReference {
 public:
  explicit OneBitLambReference(const OneBitLambReferenceOptions& options);

  const ReferenceLamb& lamb() const { return lamb_; }
  // Elements of the compressed part that had no variance at the freeze.
  size_t num_without_variance() const { return num_without_variance_; }

 private:
  bool frozen() const { return round() >= options_.warmup_rounds; }
  void BeginRound() override { lamb_.BeginStep(); }
  void EndRound() override;
  bool IsDense(size_t chunk) const override { return !frozen() || chunks()[chunk].dense; }
  void DenseChunk(size_t chunk, const std::vector<float>& mean) override;
  float SignInput(size_t worker, size_t element) const override;
  void TakeBack(size_t worker, size_t chunk) override;
  void TakeSigns(size_t chunk, const std::vector<float>& mean) override;
  void Freeze();
  void FindScales();
  // r
  float LargestRatio(size_t tensor) const;

  const OneBitLambReferenceOptions options_;
  ReferenceLamb lamb_;
  std::vector<float> scales_;  // q, by element
  std::vector<float> fresh_;   // w
  float frozen_correction_ = 1.0f;
  size_t num_without_variance_ = 0;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_ONEBIT_LAMB_REFERENCE_H_
