// The back ends that compute on the host's processor: what a trainer's client links.
#ifndef TALLY_KERNELS_HOST_BACKENDS_H_
#define TALLY_KERNELS_HOST_BACKENDS_H_

#include <vector>

#include "kernels/backend.h"

namespace tally {

// Those of them that the machine supports, slowest first: the scalar one leads. They live as long
// as the process.
std::vector<const Backend*> HostBackends();

// Their last.
const Backend* FastestHostBackend();

}  // namespace tally

#endif  // TALLY_KERNELS_HOST_BACKENDS_H_
