// Single calls on a device, which the host carries out where the device cannot.
#ifndef TALLY_KERNELS_DEVICE_DEVICE_CALLS_H_
#define TALLY_KERNELS_DEVICE_DEVICE_CALLS_H_

#include <atomic>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "kernels/device/device.h"
#include "kernels/device/lane.h"

namespace tally {

// Thread-safe: up to `max_lanes` calls are on the device at once, others wait.
class DeviceCalls {
 public:
  // `device` must outlive this; the log calls it `name`.
  DeviceCalls(std::string name, Device* device, int max_lanes)
      : name_(std::move(name)), device_(*device), lanes_(device, max_lanes) {}

  // Runs `use` on a lane, and Finish after it. If either fails, nothing of the host's memory has
  // been written by then, and `otherwise` is run, which must succeed. Logs the first want of memory
  // and the device's failure.
  void Run(absl::FunctionRef<absl::Status(Lane&)> use, absl::FunctionRef<absl::Status()> otherwise);

 private:
  absl::Status RunOnDevice(absl::FunctionRef<absl::Status(Lane&)> use);
  void LogFirst(const absl::Status& status);

  const std::string name_;
  Device& device_;
  LanePool lanes_;
  std::atomic<bool> shortage_logged_ = false;
  std::atomic<bool> failure_logged_ = false;
};

}  // namespace tally

#endif  // TALLY_KERNELS_DEVICE_DEVICE_CALLS_H_
