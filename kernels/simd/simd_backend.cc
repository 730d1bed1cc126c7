#include "kernels/simd/simd_backend.h"

#include "kernels/simd/dense.h"
#include "kernels/simd/elementwise.h"
#include "kernels/simd/reductions.h"
#include "kernels/simd/signs.h"
#include "kernels/simd/targets.h"

namespace tally {

bool SimdBackend::IsSupported() const { return simd::HasVectors(); }

double SimdBackend::DoSumOfSquares(absl::Span<const float> x) const {
  return simd::SumOfSquares(x);
}

double SimdBackend::DoSumOfMagnitudes(absl::Span<const float> x) const {
  return simd::SumOfMagnitudes(x);
}

double SimdBackend::DoDotProduct(absl::Span<const float> x, absl::Span<const float> y) const {
  return simd::DotProduct(x, y);
}

bool SimdBackend::DoAllWithin(absl::Span<const float> x, float bound) const {
  return simd::AllWithin(x, bound);
}

void SimdBackend::DoBlend(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
                          absl::Span<float> out) const {
  simd::Blend(a, x, b, y, out);
}

void SimdBackend::DoAccumulate(const AccumulateArgs& args) const { simd::Accumulate(args); }

void SimdBackend::DoPackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits) const {
  simd::PackSigns(x, bits);
}

void SimdBackend::DoSumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
                             absl::Span<const uint8_t> live, absl::Span<float> out) const {
  simd::SumSigns(blocks, segment_ends, live, out);
}

void SimdBackend::DoSignRound(const SignRoundArgs& args) const { simd::SignRound(args); }

void SimdBackend::DoDenseMean(DType dtype, absl::Span<const absl::Span<const uint8_t>> inputs,
                              float divisor, absl::Span<uint8_t> output) const {
  simd::DenseMean(dtype, inputs, divisor, output);
}

void SimdBackend::DoEncodeDense(DType dtype, absl::Span<const float> x,
                                absl::Span<uint8_t> bytes) const {
  simd::EncodeDense(dtype, x, bytes);
}

void SimdBackend::DoDecodeDense(DType dtype, absl::Span<const uint8_t> bytes,
                                absl::Span<float> x) const {
  simd::DecodeDense(dtype, bytes, x);
}

void SimdBackend::DoAdamStep(const AdamArgs& args) const { simd::AdamStep(args); }

void SimdBackend::DoMomentumStep(const MomentumArgs& args) const { simd::MomentumStep(args); }

}  // namespace tally
