// Devices for tests of optimizers, and a trainer that keeps its numbers there.
#ifndef TALLY_CLIENT_OPTIMIZERS_DEVICE_TEST_DEVICES_H_
#define TALLY_CLIENT_OPTIMIZERS_DEVICE_TEST_DEVICES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/optimizers/device/device_array.h"
#include "client/optimizers/optimizer.h"
#include "kernels/device/device.h"

namespace tally {

// "device_fake" and "cuda_emulated", which are the caller's, and "cuda", which is the process's.
class TestDevice {
 public:
  // Returns UNIMPLEMENTED if there is no GPU.
  static absl::StatusOr<TestDevice> Open(const std::string& name);

  Device* get() const { return device_; }

 private:
  std::unique_ptr<Device> owned_;
  Device* device_ = nullptr;
};

// Parameters and gradients in a device's memory, which a test sees on the host.
class DeviceTrainer {
 public:
  // Parameters are zeros. `device` and `optimizer` must outlive the trainer.
  static absl::StatusOr<DeviceTrainer> Create(Device* device, size_t num_elements);

  // As the optimizer.
  absl::Status Step(Optimizer& optimizer, const std::vector<float>& gradients);
  absl::Status Follow(Optimizer& optimizer);
  absl::StatusOr<std::vector<float>> Parameters();

 private:
  std::unique_ptr<DeviceQueue> queue_;
  DeviceArray<float> parameters_;
  DeviceArray<float> gradients_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DEVICE_TEST_DEVICES_H_
