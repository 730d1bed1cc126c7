// OpenCudaDevice where the build found no CUDA toolkit.
#include "absl/status/status.h"
#include "kernels/cuda/cuda_device.h"

namespace tally {

absl::StatusOr<std::unique_ptr<Device>> OpenCudaDevice() {
  return absl::UnimplementedError(
      "this build has no CUDA: nvcc was not found when it was configured");
}

}  // namespace tally
