// The list of back ends, with those that need a device.
#ifndef TALLY_KERNELS_BACKENDS_H_
#define TALLY_KERNELS_BACKENDS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/backend.h"

namespace tally {

// All back ends that this build and the machine support, slowest first: those of the host
// (kernels/host_backends.h), then the GPU's. They live as long as the process. The first call of
// this, or of FindBackend for "auto" or "cuda", opens the GPU for good.
std::vector<const Backend*> SupportedBackends();

// Returns the back end with that name, or the fastest one for "auto".
// Returns INVALID_ARGUMENT if no back end has that name (the message lists those that exist);
// UNIMPLEMENTED, with the reason, if it exists but this build or this machine cannot run it.
absl::StatusOr<const Backend*> FindBackend(absl::string_view name);

}  // namespace tally

#endif  // TALLY_KERNELS_BACKENDS_H_
