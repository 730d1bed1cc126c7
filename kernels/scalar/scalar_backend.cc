#include "kernels/scalar/scalar_backend.h"

#include "kernels/scalar/dense.h"
#include "kernels/scalar/elementwise.h"
#include "kernels/scalar/reductions.h"
#include "kernels/scalar/signs.h"

namespace tally {

double ScalarBackend::DoSumOfSquares(absl::Span<const float> x) const {
  return scalar::SumOfSquares(x);
}

double ScalarBackend::DoSumOfMagnitudes(absl::Span<const float> x) const {
  return scalar::SumOfMagnitudes(x);
}

double ScalarBackend::DoDotProduct(absl::Span<const float> x, absl::Span<const float> y) const {
  return scalar::DotProduct(x, y);
}

bool ScalarBackend::DoAllWithin(absl::Span<const float> x, float bound) const {
  return scalar::AllWithin(x, bound);
}

void ScalarBackend::DoBlend(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
                            absl::Span<float> out) const {
  scalar::Blend(a, x, b, y, out);
}

void ScalarBackend::DoAccumulate(const AccumulateArgs& args) const { scalar::Accumulate(args); }

void ScalarBackend::DoPackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits) const {
  scalar::PackSigns(x, bits);
}

void ScalarBackend::DoSumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
                               absl::Span<const uint8_t> live, absl::Span<float> out) const {
  scalar::SumSigns(blocks, segment_ends, live, out);
}

void ScalarBackend::DoSignRound(const SignRoundArgs& args) const { scalar::SignRound(args); }

void ScalarBackend::DoDenseMean(DType dtype, absl::Span<const absl::Span<const uint8_t>> inputs,
                                float divisor, absl::Span<uint8_t> output) const {
  scalar::DenseMean(dtype, inputs, divisor, output);
}

void ScalarBackend::DoEncodeDense(DType dtype, absl::Span<const float> x,
                                  absl::Span<uint8_t> bytes) const {
  scalar::EncodeDense(dtype, x, bytes);
}

void ScalarBackend::DoDecodeDense(DType dtype, absl::Span<const uint8_t> bytes,
                                  absl::Span<float> x) const {
  scalar::DecodeDense(dtype, bytes, x);
}

void ScalarBackend::DoAdamStep(const AdamArgs& args) const { scalar::AdamStep(args); }

void ScalarBackend::DoMomentumStep(const MomentumArgs& args) const { scalar::MomentumStep(args); }

}  // namespace tally
