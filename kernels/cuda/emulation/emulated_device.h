// The CUDA device and its kernels on the host's processor.
#ifndef TALLY_KERNELS_CUDA_EMULATION_EMULATED_DEVICE_H_
#define TALLY_KERNELS_CUDA_EMULATION_EMULATED_DEVICE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/device/device.h"

namespace tally {

// kernels/cuda/cuda_device.h's, for tests; cuda_runtime.h beside this says how. It never fails.
absl::StatusOr<std::unique_ptr<Device>> OpenEmulatedDevice();

}  // namespace tally

#endif  // TALLY_KERNELS_CUDA_EMULATION_EMULATED_DEVICE_H_
