#include "client/optimizers/sketched_amsgrad_options.h"

#include "base/status_macros.h"

namespace tally {

absl::Status ValidateSketchedAmsgradOptions(const SketchedAmsgradOptions& options,
                                            const Layout& layout) {
  TALLY_RETURN_IF_ERROR(ValidateAdamOptions(options.adam));
  TALLY_RETURN_IF_ERROR(ValidateSketchOptions(options.sketch, layout));
  if (options.warmup_rounds == 0) {
    return absl::InvalidArgumentError(
        "`warmup_rounds` = 0, must be at least 1: without a second moment nothing can be weighted");
  }
  return absl::OkStatus();
}

MethodOptions MethodOptionsOf(const SketchedAmsgradOptions& options) {
  return {.dense_dtype = options.dense_dtype,
          .non_finite = options.adam.non_finite,
          .quality_interval = options.adam.quality_interval,
          .backend = options.adam.backend};
}

}  // namespace tally
