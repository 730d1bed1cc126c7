// Sketched-SGD: see method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_SKETCHED_SGD_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_SKETCHED_SGD_REFERENCE_H_

#include <cstddef>
#include <vector>

#include "tests/reference/sketch_rounds_reference.h"

namespace tally {

struct SketchedSgdReferenceOptions {
  MethodReferenceOptions method;
  SketchReferenceOptions sketch;
  float momentum = 0.9f;
};

class SketchedSgdReference final : public SketchRoundsReference {
 public:
  explicit SketchedSgdReference(const SketchedSgdReferenceOptions& options);

 private:
  float Input(size_t worker, size_t element) override;
  void Update(size_t element, float value) override;
  void TakeOut(size_t worker, size_t element) override { u_[worker][element] = 0.0f; }
  void DenseChunk(size_t chunk, const std::vector<float>& mean) override;

  const float momentum_;
  std::vector<std::vector<float>> u_;  // by worker; v is the sum
  std::vector<float> dense_u_;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_SKETCHED_SGD_REFERENCE_H_
