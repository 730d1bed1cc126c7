// 0/1 Adam: one bit per parameter from early on, then fewer and fewer exchanges.
#ifndef TALLY_CLIENT_OPTIMIZERS_ZEROONE_ADAM_H_
#define TALLY_CLIENT_OPTIMIZERS_ZEROONE_ADAM_H_

#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/adam_options.h"
#include "client/optimizers/optimizer.h"
#include "client/optimizers/zeroone_schedule.h"
#include "codecs/layout.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace tally {

struct ZeroOneAdamOptions {
  // The second moment's bias correction counts its refreshes and stays after the freeze; without
  // bias_correction the step is DeepSpeed's.
  AdamOptions adam = {};
  ZeroOneScheduleOptions schedule = {};
  // Of the worker's and the aggregator's scales.
  ScaleRule scale_rule = ScaleRule::kRootMeanSquare;
  ScaleGranularity granularity = {};  // blocks of 4,096
  // Number format of refreshes and of dense tensors.
  DType dense_dtype = DType::kFloat32;
};

// 0/1 Adam (Lu et al., arXiv 2202.06009; docs/algorithms.md says where this departs from it). After
// the freeze of the variance, steps between two exchanges open no round, and the parameters differ
// from worker to worker (OptimizerStatistics::common_parameters); they must be as Step left them.
// Tensors that the layout marks dense follow the same schedule, by means in place of signs.
// `exchanger` must outlive the optimizer.
// Returns INVALID_ARGUMENT, naming the field, if an option is out of its range.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateZeroOneAdam(Exchanger* exchanger,
                                                             const ZeroOneAdamOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_ZEROONE_ADAM_H_
