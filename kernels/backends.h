// The list of back ends.
#ifndef TALLY_KERNELS_BACKENDS_H_
#define TALLY_KERNELS_BACKENDS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/backend.h"

namespace tally {

// All back ends of this build that the machine supports, slowest first. They live as long as the
// process.
std::vector<const Backend*> SupportedBackends();

// Returns the back end with that name, or the fastest one for "auto".
// Returns INVALID_ARGUMENT if no back end of this build has that name (the message lists those that
// exist); UNIMPLEMENTED if it exists but this machine cannot run it.
absl::StatusOr<const Backend*> FindBackend(absl::string_view name);

}  // namespace tally

#endif  // TALLY_KERNELS_BACKENDS_H_
