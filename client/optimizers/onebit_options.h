// Settings of the methods that warm up uncompressed and then exchange their momentum by signs.
#ifndef TALLY_CLIENT_OPTIMIZERS_ONEBIT_OPTIONS_H_
#define TALLY_CLIENT_OPTIMIZERS_ONEBIT_OPTIONS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "client/optimizers/adam_options.h"
#include "client/optimizers/variance_freeze.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace tally {

struct OneBitAdamOptions {
  // With bias_correction the second moment keeps the correction that it had at the freeze, the
  // first one goes on; without it the step is DeepSpeed's.
  AdamOptions adam = {};
  // Rounds of the dense method before the variance is frozen, at least 1. Unset: the automatic rule
  // below decides.
  absl::optional<uint64_t> warmup_rounds = absl::nullopt;
  // The automatic rule, asked every `freeze_interval` rounds (0: 1 / (1 - beta2)), from
  // `min_warmup_rounds` on: freeze when the norms (1) of the compressed tensors' bias-corrected
  // second moment at two successive asks are this close, smaller divided by larger.
  float freeze_threshold = 0.96f;  // (0, 1]
  uint64_t freeze_interval = 0;
  uint64_t min_warmup_rounds = 0;
  // Of the worker's and the aggregator's scales.
  ScaleRule scale_rule = ScaleRule::kRootMeanSquare;
  ScaleGranularity granularity = {};  // blocks of 4,096
  // Number format of warm-up rounds and of dense tensors.
  DType dense_dtype = DType::kFloat32;
};

// Returns INVALID_ARGUMENT, naming the field, if an option is out of its range, or if the
// aggregators would refuse one of the exchanges for this layout.
absl::Status ValidateOneBitOptions(const OneBitAdamOptions& options, const Layout& layout);

// The exchanges of both phases.
Exchange DenseExchangeOf(const OneBitAdamOptions& options);
Exchange SignExchangeOf(const OneBitAdamOptions& options);

VarianceFreezeOptions FreezeOptionsOf(const OneBitAdamOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_ONEBIT_OPTIONS_H_
