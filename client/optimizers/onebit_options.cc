#include "client/optimizers/onebit_options.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/optimizers/step_arguments.h"

namespace tally {
namespace {

// 1 / (1 - beta2), to the nearest integer.
uint64_t VarianceMemorySteps(float beta2) {
  return static_cast<uint64_t>(1.0 / (1.0 - static_cast<double>(beta2)) + 0.5);
}

}  // namespace

Exchange DenseExchangeOf(const OneBitAdamOptions& options) {
  return {DenseExchange{options.dense_dtype}, Divisor::kParticipants};
}

Exchange SignExchangeOf(const OneBitAdamOptions& options) {
  return {SignExchange{.scale_rule = options.scale_rule, .granularity = options.granularity},
          Divisor::kParticipants};
}

VarianceFreezeOptions FreezeOptionsOf(const OneBitAdamOptions& options) {
  return {.warmup_steps = options.warmup_rounds,
          .threshold = options.freeze_threshold,
          .interval_steps = options.freeze_interval > 0 ? options.freeze_interval
                                                        : VarianceMemorySteps(options.adam.beta2),
          .min_steps = options.min_warmup_rounds};
}

absl::Status ValidateOneBitOptions(const OneBitAdamOptions& options, const Layout& layout) {
  TALLY_RETURN_IF_ERROR(ValidateAdamOptions(options.adam));
  if (options.warmup_rounds.has_value() && *options.warmup_rounds == 0) {
    return absl::InvalidArgumentError(
        "`warmup_rounds` = 0, must be at least 1: without a variance there is no step");
  }
  const float threshold = options.freeze_threshold;
  if (!(threshold > 0.0f && threshold <= 1.0f)) {
    return absl::InvalidArgumentError(
        absl::StrCat("`freeze_threshold` = ", threshold, ", must be in (0, 1]"));
  }
  TALLY_RETURN_IF_ERROR(CheckExchange(DenseExchangeOf(options), layout));
  return CheckSignExchange(SignExchangeOf(options), layout);
}

}  // namespace tally
