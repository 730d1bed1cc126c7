// The arithmetic of count sketches on a device.
#ifndef TALLY_KERNELS_DEVICE_DEVICE_SKETCHES_H_
#define TALLY_KERNELS_DEVICE_DEVICE_SKETCHES_H_

#include "kernels/device/device_calls.h"
#include "kernels/sketch_kernels.h"

namespace tally {

// Part of DeviceBackend.
class DeviceSketches final : public SketchKernels {
 public:
  // Both must outlive this.
  DeviceSketches(DeviceCalls* calls, const SketchKernels* fallback)
      : calls_(*calls), fallback_(*fallback) {}

 private:
  void DoSketch(const SketchShape& shape, absl::Span<const float> x,
                absl::Span<float> table) const override;
  void DoEstimate(const SketchShape& shape, absl::Span<const float> table,
                  absl::Span<float> x) const override;
  void DoSelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                       absl::Span<uint32_t> indices) const override;

  DeviceCalls& calls_;
  const SketchKernels& fallback_;
};

}  // namespace tally

#endif  // TALLY_KERNELS_DEVICE_DEVICE_SKETCHES_H_
