// The definition of the kernels over count sketches.
#ifndef TALLY_KERNELS_SCALAR_SKETCHES_H_
#define TALLY_KERNELS_SCALAR_SKETCHES_H_

#include "kernels/sketch_kernels.h"

namespace tally {

class ScalarSketches final : public SketchKernels {
 public:
  ScalarSketches() = default;

 private:
  void DoSketch(const SketchShape& shape, absl::Span<const float> x,
                absl::Span<float> table) const override;
  void DoEstimate(const SketchShape& shape, absl::Span<const float> table,
                  absl::Span<float> x) const override;
  void DoSelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                       absl::Span<uint32_t> indices) const override;
};

}  // namespace tally

#endif  // TALLY_KERNELS_SCALAR_SKETCHES_H_
