// 0/1 Adam: see method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_ZEROONE_ADAM_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_ZEROONE_ADAM_REFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/reference/reference_adam.h"
#include "tests/reference/reference_signs.h"
#include "tests/reference/sign_rounds_reference.h"

namespace tally {

struct ZeroOneAdamReferenceOptions {
  MethodReferenceOptions method;
  ReferenceAdamOptions adam;
  reference::SignRule signs;
  uint64_t variance_steps = 1;     // T
  uint64_t variance_scaler = 1;    // refreshes until V doubles
  uint64_t local_step_scaler = 1;  // steps until L doubles
  uint64_t max_local_steps = 16;
};

// A round is a step, whether something is exchanged in it or not. The parameters are x̄.
class ZeroOneAdamReference final : public SignRoundsReference {
 public:
  explicit ZeroOneAdamReference(const ZeroOneAdamReferenceOptions& options);

  const std::vector<float>& ParametersOf(size_t worker) const override {
    return frozen_ ? own_[worker].x : parameters;
  }

  // How many steps were of each kind, so far.
  struct Steps {
    size_t refreshes = 0;
    size_t signs = 0;
    size_t local = 0;
    size_t exchanges = 0;
  };
  const Steps& steps() const { return steps_; }
  // Elements whose variance is 0.
  size_t num_without_variance() const;

 private:
  // What a worker has for itself after T.
  struct Own {
    std::vector<float> m;
    std::vector<float> p;
    std::vector<float> x;
  };

  void BeginRound() override;
  void EndRound() override;
  bool Exchanges() const override { return !frozen_ || exchanges_; }
  bool IsDense(size_t chunk) const override { return refreshes_ || chunks()[chunk].dense; }
  void DenseChunk(size_t chunk, const std::vector<float>& mean) override;
  float DenseInput(size_t worker, size_t element) const override;
  float SignInput(size_t worker, size_t element) const override {
    return DenseInput(worker, element);
  }
  bool TakesPart(size_t worker, size_t chunk) const override {
    return frozen_ || IsFinite(worker, chunk);
  }
  void TakeSigns(size_t chunk, const std::vector<float>& mean) override;
  void Freeze();
  void StepAlone(size_t worker);
  // s, a mean of gradients, or of p.
  void TakeGradient(size_t element, float mean);
  void TakeSteps(size_t element, float mean, double rates);

  const ZeroOneAdamReferenceOptions options_;
  ReferenceAdam adam_;
  // The schedule.
  uint64_t variance_interval_ = 1;  // V
  uint64_t refreshes_with_it_ = 0;
  uint64_t local_interval_ = 1;  // L
  uint64_t steps_with_it_ = 0;
  // Of the present step.
  bool refreshes_ = false;
  bool exchanges_ = false;
  Steps steps_;
  // After T.
  bool frozen_ = false;
  std::vector<Own> own_;       // by worker
  std::vector<double> rates_;  // Γ, by chunk
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_ZEROONE_ADAM_REFERENCE_H_
