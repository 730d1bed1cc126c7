#include "kernels/backends.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/device/device.h"
#include "kernels/device/device_backend.h"
#include "kernels/host_backends.h"

namespace tally {
namespace {

constexpr absl::string_view kCuda = "cuda";
// So many threads stage arguments while others compute; more would only hold more memory.
constexpr int kCudaLanes = 4;

absl::StatusOr<const Backend*> OpenCudaBackend() {
  TALLY_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, OpenCudaDevice());
  return new DeviceBackend(std::string(kCuda), std::move(device), FastestHostBackend(), kCudaLanes);
}

// Opened by the first call, never destroyed.
const absl::StatusOr<const Backend*>& CudaBackend() {
  static const auto& backend = *new absl::StatusOr<const Backend*>(OpenCudaBackend());
  return backend;
}

absl::Status Unsupported(absl::string_view name, absl::string_view reason) {
  return absl::UnimplementedError(absl::StrCat("back end \"", name, "\": ", reason));
}

}  // namespace

std::vector<const Backend*> SupportedBackends() {
  std::vector<const Backend*> supported = HostBackends();
  if (CudaBackend().ok()) supported.push_back(*CudaBackend());
  return supported;
}

absl::StatusOr<const Backend*> FindBackend(absl::string_view name) {
  if (name == "auto") return SupportedBackends().back();
  for (const Backend* backend : HostBackends()) {
    if (backend->name() == name) return backend;
  }
  if (name == "simd") return Unsupported(name, "this machine has no vectors that it knows");
  if (name != kCuda) {
    return absl::InvalidArgumentError(
        absl::StrCat("`name` = \"", name, "\", must be auto, scalar, simd, ", kCuda));
  }
  if (CudaBackend().ok()) return *CudaBackend();
  return Unsupported(name, CudaBackend().status().message());
}

}  // namespace tally
