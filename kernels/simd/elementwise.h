// The optimizer steps and Blend, as Backend describes them with the best vectors of this machine.
// Arguments were checked; spans are not empty.
#ifndef TALLY_KERNELS_SIMD_ELEMENTWISE_H_
#define TALLY_KERNELS_SIMD_ELEMENTWISE_H_

#include "absl/types/span.h"
#include "kernels/backend.h"

namespace tally::simd {

void Blend(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
           absl::Span<float> out);
void AdamStep(const AdamArgs& args);
void MomentumStep(const MomentumArgs& args);

}  // namespace tally::simd

#endif  // TALLY_KERNELS_SIMD_ELEMENTWISE_H_
