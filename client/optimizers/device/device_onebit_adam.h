// 1-bit Adam for a trainer whose gradients lie in a GPU's memory.
#ifndef TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_ONEBIT_ADAM_H_
#define TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_ONEBIT_ADAM_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/onebit_options.h"
#include "client/optimizers/optimizer.h"
#include "kernels/device/device.h"

namespace tally {

// CreateOneBitAdam's optimizer (client/optimizers/onebit_adam.h), bit for bit, with moments and
// residual in `device`'s memory: 12.25 bytes a compressed parameter, 8 a dense one, up to 0.25 for
// masks, and what chunks under way need. Workers with and without a device can be in one run, and
// load each other's saved states.
//
//   TALLY_ASSIGN_OR_RETURN(const Backend* const gpu, FindBackend("cuda"));  // kernels/backends.h
//   TALLY_ASSIGN_OR_RETURN(optimizer, CreateDeviceOneBitAdam(client.get(), {}, gpu->device()));
//   optimizer->Step({parameters_on_gpu, n}, {gradients_on_gpu, n});
//
// `parameters` and `gradients` of Step and Follow lie in the device's memory and start at a
// multiple of 4 bytes (of 16: faster); what writes them must be done before the call, and the
// parameters are done when it returns. Once the variance is frozen, bits and scales go over the bus
// each way, a thirty-second of a gradient's bytes with scales for blocks of 4,096; before that, and
// of dense tensors, all of it. Everything else (Residual, Inherit, states) is in the host's memory.
// Steps are not measured: quality() is unset. Once the device has failed, Residual and SaveState
// give nothing, and the residual's norm is told as 0: what it held is lost.
//
// `exchanger` and `device` must outlive the optimizer. Besides the errors of CreateOneBitAdam and
// of its optimizer, this and Step return RESOURCE_EXHAUSTED if the device's memory does not
// suffice, and UNAVAILABLE if the device has failed.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateDeviceOneBitAdam(Exchanger* exchanger,
                                                                  const OneBitAdamOptions& options,
                                                                  Device* device);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_ONEBIT_ADAM_H_
