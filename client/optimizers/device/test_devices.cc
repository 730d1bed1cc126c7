#include "client/optimizers/device/test_devices.h"

#include "base/status_macros.h"
#include "kernels/backends.h"
#include "kernels/cuda/emulation/emulated_device.h"
#include "kernels/device/fake_device.h"

namespace tally {

absl::StatusOr<TestDevice> TestDevice::Open(const std::string& name) {
  TestDevice device;
  if (name == "cuda") {
    TALLY_ASSIGN_OR_RETURN(const Backend* const backend, FindBackend(name));
    device.device_ = backend->device();
    return device;
  }
  if (name == "device_fake") {
    device.owned_ = std::make_unique<FakeDevice>();
  } else {
    TALLY_ASSIGN_OR_RETURN(device.owned_, OpenEmulatedDevice());
  }
  device.device_ = device.owned_.get();
  return device;
}

absl::StatusOr<DeviceTrainer> DeviceTrainer::Create(Device* device, size_t num_elements) {
  DeviceTrainer trainer;
  TALLY_ASSIGN_OR_RETURN(trainer.queue_, device->NewQueue());
  for (DeviceArray<float>* const array : {&trainer.parameters_, &trainer.gradients_}) {
    TALLY_ASSIGN_OR_RETURN(*array, DeviceArray<float>::Create(device, num_elements));
    TALLY_RETURN_IF_ERROR(Clear(*trainer.queue_, array->span()));
  }
  TALLY_RETURN_IF_ERROR(trainer.queue_->Wait());
  return trainer;
}

absl::Status DeviceTrainer::Step(Optimizer& optimizer, const std::vector<float>& gradients) {
  TALLY_RETURN_IF_ERROR(CopyToDevice(*queue_, absl::MakeConstSpan(gradients), gradients_.span()));
  TALLY_RETURN_IF_ERROR(queue_->Wait());
  return optimizer.Step(parameters_.span(), gradients_.span());
}

absl::Status DeviceTrainer::Follow(Optimizer& optimizer) {
  return optimizer.Follow(parameters_.span());
}

absl::StatusOr<std::vector<float>> DeviceTrainer::Parameters() {
  std::vector<float> host(parameters_.span().size());
  TALLY_RETURN_IF_ERROR(CopyToHost<float>(*queue_, parameters_.span(), absl::MakeSpan(host)));
  TALLY_RETURN_IF_ERROR(queue_->Wait());
  return host;
}

}  // namespace tally
