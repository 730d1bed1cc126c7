// The definition of every kernel: plain loops in the order that Backend documents.
#ifndef TALLY_KERNELS_SCALAR_SCALAR_BACKEND_H_
#define TALLY_KERNELS_SCALAR_SCALAR_BACKEND_H_

#include "kernels/backend.h"
#include "kernels/scalar/sketches.h"
#include "kernels/scalar/votes.h"

namespace tally {

// Runs everywhere. All other back ends are held to its bits.
class ScalarBackend final : public Backend {
 public:
  ScalarBackend() = default;

  absl::string_view name() const override { return "scalar"; }
  bool IsSupported() const override { return true; }
  const VoteKernels& votes() const override { return votes_; }
  const SketchKernels& sketches() const override { return sketches_; }

 private:
  double DoSumOfSquares(absl::Span<const float> x) const override;
  double DoSumOfMagnitudes(absl::Span<const float> x) const override;
  double DoDotProduct(absl::Span<const float> x, absl::Span<const float> y) const override;
  bool DoAllWithin(absl::Span<const float> x, float bound) const override;
  void DoBlend(float a, absl::Span<const float> x, float b, absl::Span<const float> y,
               absl::Span<float> out) const override;
  void DoAccumulate(const AccumulateArgs& args) const override;
  void DoPackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits) const override;
  void DoSumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
                  absl::Span<const uint8_t> live, absl::Span<float> out) const override;
  void DoSignRound(const SignRoundArgs& args) const override;
  void DoDenseMean(DType dtype, absl::Span<const absl::Span<const uint8_t>> inputs, float divisor,
                   absl::Span<uint8_t> output) const override;
  void DoEncodeDense(DType dtype, absl::Span<const float> x,
                     absl::Span<uint8_t> bytes) const override;
  void DoDecodeDense(DType dtype, absl::Span<const uint8_t> bytes,
                     absl::Span<float> x) const override;
  void DoAdamStep(const AdamArgs& args) const override;
  void DoMomentumStep(const MomentumArgs& args) const override;

  ScalarVotes votes_;
  ScalarSketches sketches_;
};

}  // namespace tally

#endif  // TALLY_KERNELS_SCALAR_SCALAR_BACKEND_H_
