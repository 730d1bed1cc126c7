// The arithmetic of several exchanges at once, on a device.
#ifndef TALLY_AGGREGATOR_DEVICE_BATCH_H_
#define TALLY_AGGREGATOR_DEVICE_BATCH_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "aggregator/exchange_task.h"
#include "base/buffer.h"
#include "codecs/exchange.h"
#include "kernels/backend.h"
#include "kernels/device/lane.h"

namespace tally {

// False for exchanges without arithmetic.
bool HasDeviceKernels(const Exchange& exchange);

// Whether two exchanges that have device kernels can be computed by one call of them.
bool ShareLaunch(const Exchange& a, const Exchange& b);

// Computes tasks, at least one, that share a launch, with the outcomes of RunExchange, bit for bit,
// in the same order. Residuals that are summed into come to the device and stay there; `host` does
// what is left for the host. The lane must have nothing under way, and has nothing on return.
//
// Returns RESOURCE_EXHAUSTED if the device's memory does not suffice, UNAVAILABLE if the device
// failed, INTERNAL if a payload is not valid. Then no exchange has taken place: every residual is
// as it was (or zero, if that is how its exchange begins), or lost (Residual::Lose).
//
// Payloads that lie in `pinned` memory, which is the lane's device's, go there without a stop;
// results and snapshots take theirs from it. It may be null.
absl::StatusOr<std::vector<ExchangeOutcome>> RunOnDevice(
    absl::Span<const ExchangeTask* const> tasks, Lane& lane, const Backend& host,
    const std::shared_ptr<BufferMemory>& pinned);

}  // namespace tally

#endif  // TALLY_AGGREGATOR_DEVICE_BATCH_H_
