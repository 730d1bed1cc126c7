// Birder for a trainer whose gradients lie in a GPU's memory.
#ifndef TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_BIRDER_H_
#define TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_BIRDER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/birder_options.h"
#include "client/optimizers/optimizer.h"
#include "kernels/device/device.h"

namespace tally {

// CreateBirder's optimizer (client/optimizers/birder.h), bit for bit, with both moments in
// `device`'s memory: 8 bytes a compressed parameter. What is said of memory, workers without a
// device, saved states and errors in client/optimizers/device/device_onebit_adam.h holds here.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateDeviceBirder(Exchanger* exchanger,
                                                              const BirderOptions& options,
                                                              Device* device);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_BIRDER_H_
