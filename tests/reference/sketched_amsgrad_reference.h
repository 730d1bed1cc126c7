// SketchedAMSGrad: see method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_SKETCHED_AMSGRAD_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_SKETCHED_AMSGRAD_REFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/reference/reference_adam.h"
#include "tests/reference/sketch_rounds_reference.h"

namespace tally {

struct SketchedAmsgradReferenceOptions {
  MethodReferenceOptions method;
  SketchReferenceOptions sketch;
  ReferenceAdamOptions adam = {.amsgrad = true};
  uint64_t warmup_rounds = 1;
};

class SketchedAmsgradReference final : public SketchRoundsReference {
 public:
  explicit SketchedAmsgradReference(const SketchedAmsgradReferenceOptions& options);

  // The longest wait of an element that was chosen, in rounds.
  uint64_t largest_age() const { return largest_age_; }

 private:
  bool warming_up() const { return round() < warmup_rounds_; }
  bool IsDense(size_t chunk) const override { return warming_up() || chunks()[chunk].dense; }
  void BeginRound() override { adam_.BeginStep(); }
  void EndRound() override;
  void DenseChunk(size_t chunk, const std::vector<float>& mean) override;
  float Input(size_t worker, size_t element) override;
  float Weight(size_t element) const override { return 1.0f / adam_.Denominator(element); }
  void Update(size_t element, float value) override;

  const uint64_t warmup_rounds_;
  ReferenceAdam adam_;                 // m is everybody's: in the warm-up, and of dense tensors
  std::vector<std::vector<float>> m_;  // by worker, afterwards
  std::vector<uint64_t> last_chosen_;
  uint64_t largest_age_ = 0;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_SKETCHED_AMSGRAD_REFERENCE_H_
