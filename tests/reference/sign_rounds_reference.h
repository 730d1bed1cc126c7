// Two-way sign rounds with residuals on both sides, whatever it is that a method puts into them:
// see method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_SIGN_ROUNDS_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_SIGN_ROUNDS_REFERENCE_H_

#include <cstddef>
#include <functional>
#include <vector>

#include "tests/reference/method_reference.h"
#include "tests/reference/reference_signs.h"

namespace tally {

class SignRoundsReference : public MethodReference {
 public:
  SignRoundsReference(const MethodReferenceOptions& options, const reference::SignRule& rule);

 protected:
  // u
  virtual float SignInput(size_t worker, size_t element) const = 0;
  virtual bool TakesPart(size_t worker, size_t chunk) const { return IsFinite(worker, chunk); }
  // The worker's contribution was not counted; before the result is taken.
  virtual void TakeBack(size_t, size_t) {}
  // s of a chunk.
  virtual void TakeSigns(size_t chunk, const std::vector<float>& mean) = 0;

  // The carries of compressed chunks join a, times a factor of the element's.
  void TakeCarries(const std::function<float(size_t element)>& factor);
  // Workers and aggregators start anew.
  void ForgetResiduals();

  // a, by worker and element; before the last contribution is taken out, if it was counted.
  std::vector<std::vector<float>> sums_;

 private:
  void CompressedChunk(size_t chunk) final;

  const reference::SignRule rule_;
  // By worker and element: the last contribution if it was counted and is still in a, or 0.
  std::vector<std::vector<float>> leaving_;
  std::vector<float> residual_;  // e
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_SIGN_ROUNDS_REFERENCE_H_
