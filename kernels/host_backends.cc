#include "kernels/host_backends.h"

#include "kernels/scalar/scalar_backend.h"
#include "kernels/simd/simd_backend.h"

namespace tally {

std::vector<const Backend*> HostBackends() {
  // Never destroyed: kernels may run until the process ends.
  static const Backend& scalar = *new ScalarBackend();
  static const Backend& simd = *new SimdBackend();
  if (simd.IsSupported()) return {&scalar, &simd};
  return {&scalar};
}

const Backend* FastestHostBackend() { return HostBackends().back(); }

}  // namespace tally
