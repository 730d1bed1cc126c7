// NVIDIA's GPUs as a device. Needs no CUDA to include: in a build without it a stub says so.
#ifndef TALLY_KERNELS_CUDA_CUDA_DEVICE_H_
#define TALLY_KERNELS_CUDA_CUDA_DEVICE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/device/device.h"

namespace tally {

// Opens the first GPU that the process sees (CUDA_VISIBLE_DEVICES chooses which one that is).
// Returns UNIMPLEMENTED if this build has no CUDA; UNAVAILABLE, with the reason, if there is no
// driver or no GPU, or none that can run this build's kernels (compute capability 8.0 and later).
absl::StatusOr<std::unique_ptr<Device>> OpenCudaDevice();

}  // namespace tally

#endif  // TALLY_KERNELS_CUDA_CUDA_DEVICE_H_
