#include "kernels/scalar/sketches.h"
#include "kernels/simd/sketches.h"

namespace tally {
namespace {
const ScalarSketches kScalar;
}
// Provisional: forwards.
void SimdSketches::DoSketch(const SketchShape& shape, absl::Span<const float> x,
                            absl::Span<float> table) const {
  (void)kScalar.Sketch(shape, x, table);
}
void SimdSketches::DoEstimate(const SketchShape& shape, absl::Span<const float> table,
                              absl::Span<float> x) const {
  (void)kScalar.Estimate(shape, table, x);
}
void SimdSketches::DoSelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                                   absl::Span<uint32_t> indices) const {
  (void)kScalar.SelectLargest(x, live, indices);
}
}  // namespace tally
