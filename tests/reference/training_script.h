// A small training problem with scripted faults, the same for the optimizers and for their
// references.
#ifndef TALLY_TESTS_REFERENCE_TRAINING_SCRIPT_H_
#define TALLY_TESTS_REFERENCE_TRAINING_SCRIPT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "codecs/layout.h"
#include "tests/reference/onebit_adam_reference.h"
#include "tests/reference/reference_model.h"

namespace tally {

// Everything is a pure function of the arguments and of the seed.
class TrainingScript {
 public:
  // `miss_share` of the contributions miss their round. With `abstentions`, now and then a gradient
  // has a NaN in it.
  TrainingScript(size_t num_elements, uint64_t seed, double miss_share, bool abstentions);

  // Worker's gradient of sum_i curvature_i / 2 * (x_i - target_i)^2, with noise. Curvatures spread
  // over three decades.
  std::vector<float> Gradient(size_t worker, uint64_t round,
                              absl::Span<const float> parameters) const;
  // The function itself, without noise.
  double Loss(absl::Span<const float> parameters) const;

  bool Misses(size_t worker, uint64_t round, size_t chunk) const;

 private:
  const uint64_t seed_;
  const double miss_share_;
  const bool abstentions_;
  std::vector<float> curvatures_;
  std::vector<float> targets_;
};

// The number of elements of all tensors.
size_t NumElements(const ReferenceOptions& options);

// The layout of the reference's tensors.
Layout LayoutOf(const ReferenceModelOptions& options);
Layout LayoutOf(const ReferenceOptions& options);

// Compressed and dense tensors of odd sizes that cross chunks, one with a mask.
std::vector<ReferenceTensor> IrregularTensors();
// The same with a tenth of the elements.
std::vector<ReferenceTensor> SmallIrregularTensors();

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_TRAINING_SCRIPT_H_
