// Birder: see method_reference.h.
#ifndef TALLY_TESTS_REFERENCE_BIRDER_REFERENCE_H_
#define TALLY_TESTS_REFERENCE_BIRDER_REFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "tests/reference/method_reference.h"

namespace tally {

struct BirderReferenceOptions {
  MethodReferenceOptions method;
  float beta = 0.95f;
  std::optional<float> magnitude_beta = std::nullopt;
  bool vote_counts = false;
};

class BirderReference final : public MethodReference {
 public:
  explicit BirderReference(const BirderReferenceOptions& options);

  // Bits drawn with a probability that is neither 0 nor 1, so far.
  uint64_t num_open_draws() const { return num_open_draws_; }

 private:
  void CompressedChunk(size_t chunk) override;
  void DenseChunk(size_t chunk, const std::vector<float>& mean) override;
  // Moves both moments on; returns u.
  float Blend(float& m, float& b, float gradient) const;

  const BirderReferenceOptions options_;
  // By worker; of dense tensors the first worker's are everybody's.
  std::vector<std::vector<float>> m_;
  std::vector<std::vector<float>> b_;
  uint64_t num_open_draws_ = 0;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_BIRDER_REFERENCE_H_
