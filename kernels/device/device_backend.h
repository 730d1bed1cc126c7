// A back end whose arithmetic runs on a device.
#ifndef TALLY_KERNELS_DEVICE_DEVICE_BACKEND_H_
#define TALLY_KERNELS_DEVICE_DEVICE_BACKEND_H_

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "kernels/backend.h"
#include "kernels/device/device.h"
#include "kernels/device/device_calls.h"
#include "kernels/device/device_sketches.h"
#include "kernels/device/device_votes.h"
#include "kernels/device/lane.h"

namespace tally {

// Carries out each call on the device: arguments there, results back, wait. What the device cannot
// do, for want of memory or because it has failed, `fallback` does instead: the bits are the same.
// Calls from several threads run side by side, on up to `max_lanes` lanes. (The service's own
// pipeline leaves data on the device: aggregator/device_runner.h.)
class DeviceBackend final : public Backend {
 public:
  // `fallback` must outlive the back end.
  DeviceBackend(std::string name, std::unique_ptr<Device> device, const Backend* fallback,
                int max_lanes);

  absl::string_view name() const override { return name_; }
  bool IsSupported() const override { return true; }
  const VoteKernels& votes() const override { return votes_; }
  const SketchKernels& sketches() const override { return sketches_; }
  Device* device() const override { return device_.get(); }
  const Backend& fallback() const { return fallback_; }

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

  // What `use` has the device write there, or else the host's result.
  double Reduce(absl::FunctionRef<absl::Status(Lane&, double*)> use,
                absl::FunctionRef<double()> otherwise) const;

  const std::string name_;
  const std::unique_ptr<Device> device_;
  const Backend& fallback_;
  mutable DeviceCalls calls_;
  const DeviceVotes votes_;
  const DeviceSketches sketches_;
};

}  // namespace tally

#endif  // TALLY_KERNELS_DEVICE_DEVICE_BACKEND_H_
