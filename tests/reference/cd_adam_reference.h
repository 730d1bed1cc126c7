// CD-Adam with signs or top-k: see method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_CD_ADAM_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_CD_ADAM_REFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/reference/method_reference.h"
#include "tests/reference/reference_adam.h"
#include "tests/reference/reference_norm.h"

namespace tally {

struct CdAdamReferenceOptions {
  MethodReferenceOptions method;
  ReferenceAdamOptions adam = {.beta2 = 0.99f, .amsgrad = true};
  // Of each chunk's elements, with top-k; 0: signs.
  double share = 0.0;
  size_t block_elements = 1024;
  reference::Scale scale = reference::Scale::kMeanMagnitude;
  bool track_momentum = false;
  uint64_t warmup_rounds = 0;
};

class CdAdamReference final : public MethodReference {
 public:
  explicit CdAdamReference(const CdAdamReferenceOptions& options);

  // By worker and element.
  const std::vector<std::vector<float>>& tracked() const { return tracked_; }
  const std::vector<float>& shared() const { return shared_; }
  // The aggregator's residual.
  const std::vector<float>& residual() const { return residual_; }
  // Magnitudes above all that were seen so far, of tracked, shared and what the aggregator summed.
  double largest_tracked() const { return largest_tracked_; }
  double largest_shared() const { return largest_shared_; }
  double largest_sum() const { return largest_sum_; }

 private:
  void BeginRound() override { adam_.BeginStep(); }
  void EndRound() override;
  bool IsDense(size_t chunk) const override {
    return round() < options_.warmup_rounds || chunks()[chunk].dense;
  }
  void CompressedChunk(size_t chunk) override;
  void DenseChunk(size_t chunk, const std::vector<float>& mean) override;
  // What a worker tracks of its gradient, in the element's unit.
  float Input(size_t worker, size_t element);
  void Step(size_t element);
  // The largest of a chunk's values as payload; `values` become what it stands for.
  std::string CompressToLargest(size_t chunk, std::vector<float>& values,
                                std::vector<bool>& sent) const;

  const CdAdamReferenceOptions options_;
  ReferenceAdam adam_;
  std::vector<float> units_;
  std::vector<std::vector<float>> momenta_;  // by worker
  std::vector<std::vector<float>> tracked_;
  std::vector<float> shared_;
  std::vector<float> residual_;
  double largest_tracked_ = 0.0;
  double largest_shared_ = 0.0;
  double largest_sum_ = 0.0;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_CD_ADAM_REFERENCE_H_
