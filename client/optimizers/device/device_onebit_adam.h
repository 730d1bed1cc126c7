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
// residual in `device`'s memory: 12.25 bytes a compressed parameter, 8 a dense one. Workers with
// and without a device can be in one run, and load each other's saved states.
//
//   TALLY_ASSIGN_OR_RETURN(const Backend* const gpu, FindBackend("cuda"));  // kernels/backends.h
//   TALLY_ASSIGN_OR_RETURN(optimizer, CreateDeviceOneBitAdam(client.get(), {}, gpu->device()));
//   optimizer->Step({parameters_on_gpu, n}, {gradients_on_gpu, n});
//
// `parameters` and `gradients` of Step and Follow lie in the device's memory and start at a
// multiple of 4 bytes (of 16: faster); what writes them must be done before the call, and the
// parameters are done when it returns. Once the variance is frozen, a thirty-second of a gradient's
// bytes goes over the bus each way; before that, and of dense tensors, all of it. Everything else
// (Residual, Inherit, states) is in the host's memory. Steps are not measured: quality() is unset.
//
// `exchanger` and `device` must outlive the optimizer. Besides the errors of CreateOneBitAdam and
// of its optimizer, this and Step return RESOURCE_EXHAUSTED if the device's memory does not
// suffice, and UNAVAILABLE if the device has failed.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateDeviceOneBitAdam(Exchanger* exchanger,
                                                                  const OneBitAdamOptions& options,
                                                                  Device* device);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_ONEBIT_ADAM_H_
