// SketchedAMSGrad for a trainer whose gradients lie in a device's memory.
#ifndef TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_SKETCHED_AMSGRAD_H_
#define TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_SKETCHED_AMSGRAD_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/optimizer.h"
#include "client/optimizers/sketched_amsgrad_options.h"
#include "kernels/device/device.h"

namespace tally {

// CreateSketchedAmsgrad's optimizer (client/optimizers/sketched_amsgrad.h), bit for bit, with the
// moments and the residual in `device`'s memory: 16.06 bytes a compressed parameter, 12 a dense
// one, up to 0.125 for masks, and 8 an element of the largest group. In the host's stays when each
// element was chosen last: 8 bytes a compressed parameter, and 4 more during the warm-up. After
// that tables, candidates and their values cross the bus. What is said of workers without a device,
// saved states and errors in client/optimizers/device/device_onebit_adam.h holds here.
//
// Besides, returns INVALID_ARGUMENT if the layout has more than 2^32 - 1 elements.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateDeviceSketchedAmsgrad(
    Exchanger* exchanger, const SketchedAmsgradOptions& options, Device* device);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_SKETCHED_AMSGRAD_H_
