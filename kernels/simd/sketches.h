// The kernels over count sketches, in vectors.
#ifndef TALLY_KERNELS_SIMD_SKETCHES_H_
#define TALLY_KERNELS_SIMD_SKETCHES_H_

#include "kernels/sketch_kernels.h"

namespace tally {

class SimdSketches final : public SketchKernels {
 public:
  SimdSketches() = default;

 private:
  void DoSketch(const SketchShape& shape, absl::Span<const float> x,
                absl::Span<float> table) const override;
  void DoEstimate(const SketchShape& shape, absl::Span<const float> table,
                  absl::Span<float> x) const override;
  void DoSelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                       absl::Span<uint32_t> indices) const override;
};

}  // namespace tally

#endif  // TALLY_KERNELS_SIMD_SKETCHES_H_
