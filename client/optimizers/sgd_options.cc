#include "client/optimizers/sgd_options.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace tally {
namespace {

absl::Status RangeError(absl::string_view field, float value, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat("`", field, "` = ", value, ", must be ", rule));
}

}  // namespace

absl::Status ValidateSgdOptions(const SgdOptions& options) {
  if (!(options.learning_rate > 0.0f) || !std::isfinite(options.learning_rate)) {
    return RangeError("learning_rate", options.learning_rate, "positive and finite");
  }
  if (!(options.momentum >= 0.0f && options.momentum < 1.0f)) {
    return RangeError("momentum", options.momentum, "in [0, 1)");
  }
  if (!(options.weight_decay >= 0.0f) || !std::isfinite(options.weight_decay)) {
    return RangeError("weight_decay", options.weight_decay, "finite and not negative");
  }
  return absl::OkStatus();
}

absl::Status StepAgainst(const SgdOptions& options, const Backend& backend,
                         absl::Span<float> direction, absl::Span<float> x) {
  if (options.weight_decay != 0.0f) {
    TALLY_RETURN_IF_ERROR(backend.Blend(1.0f, direction, options.weight_decay, x, direction));
  }
  return backend.Blend(1.0f, x, -options.learning_rate, direction, x);
}

}  // namespace tally
