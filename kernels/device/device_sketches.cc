#include "kernels/device/device_sketches.h"

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "kernels/device/device.h"

namespace tally {

void DeviceSketches::DoSketch(const SketchShape& shape, absl::Span<const float> x,
                              absl::Span<float> table) const {
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        TALLY_ASSIGN_OR_RETURN(const auto device_x, lane.In(x));
        TALLY_ASSIGN_OR_RETURN(const auto device_table, lane.Out(table));
        return lane.queue().Sketch(shape, device_x, device_table);
      },
      [&] { return fallback_.Sketch(shape, x, table); });
}

void DeviceSketches::DoEstimate(const SketchShape& shape, absl::Span<const float> table,
                                absl::Span<float> x) const {
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        TALLY_ASSIGN_OR_RETURN(const auto device_table, lane.In(table));
        TALLY_ASSIGN_OR_RETURN(const auto device_x, lane.Out(x));
        return lane.queue().Estimate(shape, device_table, device_x);
      },
      [&] { return fallback_.Estimate(shape, table, x); });
}

void DeviceSketches::DoSelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                                     absl::Span<uint32_t> indices) const {
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        TALLY_ASSIGN_OR_RETURN(const auto device_x, lane.In(x));
        TALLY_ASSIGN_OR_RETURN(const auto device_live, lane.In(live));
        TALLY_ASSIGN_OR_RETURN(const auto device_indices, lane.Out(indices));
        return lane.queue().SelectLargest(device_x, device_live, device_indices, {});
      },
      [&] { return fallback_.SelectLargest(x, live, indices); });
}

}  // namespace tally
