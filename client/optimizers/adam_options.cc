#include "client/optimizers/adam_options.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "kernels/host_backends.h"

namespace tally {
namespace {

absl::Status Check(bool holds, absl::string_view field, float value, absl::string_view rule) {
  if (holds && std::isfinite(value)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("`", field, "` = ", value, ", must be ", rule));
}

}  // namespace

absl::Status ValidateAdamOptions(const AdamOptions& options) {
  const auto is_decay = [](float beta) { return beta >= 0.0f && beta < 1.0f; };
  TALLY_RETURN_IF_ERROR(Check(options.learning_rate > 0.0f, "learning_rate", options.learning_rate,
                              "finite and positive"));
  TALLY_RETURN_IF_ERROR(Check(is_decay(options.beta1), "beta1", options.beta1, "in [0, 1)"));
  TALLY_RETURN_IF_ERROR(Check(is_decay(options.beta2), "beta2", options.beta2, "in [0, 1)"));
  TALLY_RETURN_IF_ERROR(
      Check(options.epsilon >= 0.0f, "epsilon", options.epsilon, "finite and not negative"));
  TALLY_RETURN_IF_ERROR(Check(options.weight_decay >= 0.0f, "weight_decay", options.weight_decay,
                              "finite and not negative"));
  switch (options.non_finite) {
    case NonFinitePolicy::kAbstain:
    case NonFinitePolicy::kStop:
      return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "`non_finite` = ", static_cast<int>(options.non_finite), ", must be kAbstain or kStop"));
}

const Backend& BackendOf(const AdamOptions& options) {
  return options.backend != nullptr ? *options.backend : *FastestHostBackend();
}

}  // namespace tally
