// The dense kernels, as Backend describes them with the best vectors of this machine. Arguments
// were checked; spans are not empty.
#ifndef TALLY_KERNELS_SIMD_DENSE_H_
#define TALLY_KERNELS_SIMD_DENSE_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/dtype.h"

namespace tally::simd {

void DenseMean(DType dtype, absl::Span<const absl::Span<const uint8_t>> inputs, float divisor,
               absl::Span<uint8_t> output);
void EncodeDense(DType dtype, absl::Span<const float> x, absl::Span<uint8_t> bytes);
void DecodeDense(DType dtype, absl::Span<const uint8_t> bytes, absl::Span<float> x);

}  // namespace tally::simd

#endif  // TALLY_KERNELS_SIMD_DENSE_H_
