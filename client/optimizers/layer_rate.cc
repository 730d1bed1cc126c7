#include "client/optimizers/layer_rate.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"

namespace tally {
namespace {

absl::Status Check(bool holds, absl::string_view field, double value, absl::string_view rule) {
  if (holds && std::isfinite(value)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("`", field, "` = ", value, ", must be ", rule));
}

}  // namespace

absl::Status ValidateLayerRateOptions(const LayerRateOptions& options) {
  TALLY_RETURN_IF_ERROR(Check(options.min_coefficient > 0.0, "min_coefficient",
                              options.min_coefficient, "finite and positive"));
  TALLY_RETURN_IF_ERROR(Check(options.max_coefficient >= options.min_coefficient, "max_coefficient",
                              options.max_coefficient, "finite and at least `min_coefficient`"));
  TALLY_RETURN_IF_ERROR(Check(options.coefficient_beta >= 0.0 && options.coefficient_beta < 1.0,
                              "coefficient_beta", options.coefficient_beta, "in [0, 1)"));
  TALLY_RETURN_IF_ERROR(Check(options.min_factor > 0.0 && options.min_factor <= 1.0, "min_factor",
                              options.min_factor, "in (0, 1]"));
  TALLY_RETURN_IF_ERROR(
      Check(options.max_factor >= 1.0, "max_factor", options.max_factor, "finite and at least 1"));
  return Check(options.factor_threshold > 0.0 && options.factor_threshold < 1.0, "factor_threshold",
               options.factor_threshold, "in (0, 1)");
}

double LayerRate::Coefficient(double weight_norm, double update_norm) {
  if (!(weight_norm > 0.0 && update_norm > 0.0)) return 1.0;
  const double coefficient =
      std::clamp(weight_norm / update_norm, options_.min_coefficient, options_.max_coefficient);
  const double beta = options_.coefficient_beta;
  sum() = beta * sum() + (1.0 - beta) * coefficient;
  weight() = beta * weight() + (1.0 - beta);
  return coefficient;
}

double LayerRate::mean() const { return state_[1] > 0.0 ? state_[0] / state_[1] : 1.0; }

double LayerRate::FrozenCoefficient(double largest_ratio, double momentum_share) {
  double next = largest_ratio * momentum_share + (1.0 - momentum_share);
  next = std::clamp(next, options_.min_factor, options_.max_factor);
  factor() = std::clamp(next, factor() * (1.0 - options_.factor_threshold),
                        factor() * (1.0 + options_.factor_threshold));
  return mean() * factor();
}

}  // namespace tally
