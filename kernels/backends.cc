#include "kernels/backends.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/device/device.h"
#include "kernels/device/device_backend.h"
#include "kernels/scalar/scalar_backend.h"
#include "kernels/simd/simd_backend.h"

namespace tally {
namespace {

constexpr absl::string_view kCuda = "cuda";
// So many threads stage arguments while others compute; more would only hold more memory.
constexpr int kCudaLanes = 4;

// Those that compute on the host, slowest first. Never destroyed, like all others: kernels may run
// until the process ends.
const std::vector<const Backend*>& HostBackends() {
  static const auto& backends =
      *new std::vector<const Backend*>{new ScalarBackend(), new SimdBackend()};
  return backends;
}

absl::StatusOr<const Backend*> OpenCudaBackend() {
  TALLY_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, OpenCudaDevice());
  return new DeviceBackend(std::string(kCuda), std::move(device), FastestHostBackend(), kCudaLanes);
}

// Opened by the first call.
const absl::StatusOr<const Backend*>& CudaBackend() {
  static const auto& backend = *new absl::StatusOr<const Backend*>(OpenCudaBackend());
  return backend;
}

absl::Status Unsupported(absl::string_view name, absl::string_view reason) {
  return absl::UnimplementedError(absl::StrCat("back end \"", name, "\": ", reason));
}

std::vector<const Backend*> SupportedHostBackends() {
  std::vector<const Backend*> supported;
  for (const Backend* backend : HostBackends()) {
    if (backend->IsSupported()) supported.push_back(backend);
  }
  return supported;
}

}  // namespace

std::vector<const Backend*> SupportedBackends() {
  std::vector<const Backend*> supported = SupportedHostBackends();
  if (CudaBackend().ok()) supported.push_back(*CudaBackend());
  return supported;
}

const Backend* FastestHostBackend() { return SupportedHostBackends().back(); }

absl::StatusOr<const Backend*> FindBackend(absl::string_view name) {
  if (name == "auto") return SupportedBackends().back();
  std::vector<absl::string_view> names = {"auto"};
  for (const Backend* backend : HostBackends()) {
    names.push_back(backend->name());
    if (backend->name() != name) continue;
    if (backend->IsSupported()) return backend;
    return Unsupported(name, "it is built in, but this machine cannot run it");
  }
  if (name == kCuda) {
    if (CudaBackend().ok()) return *CudaBackend();
    return Unsupported(name, CudaBackend().status().message());
  }
  names.push_back(kCuda);
  return absl::InvalidArgumentError(
      absl::StrCat("`name` = \"", name, "\", must be ", absl::StrJoin(names, ", ")));
}

}  // namespace tally
