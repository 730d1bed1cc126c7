#include "client/optimizers/step_arguments.h"

#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/variant.h"
#include "base/status_macros.h"
#include "kernels/backend.h"

namespace tally {
namespace {

absl::Status CheckSize(absl::string_view name, size_t size, const Layout& layout) {
  if (size == layout.num_elements()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "`", name, "` has ", size, " elements, must have the layout's ", layout.num_elements()));
}

}  // namespace

absl::Status CheckStepArguments(const Layout& layout, absl::Span<const float> parameters,
                                absl::Span<const float> gradients) {
  TALLY_RETURN_IF_ERROR(CheckSize("parameters", parameters.size(), layout));
  return CheckSize("gradients", gradients.size(), layout);
}

absl::Status CheckLearningRate(float learning_rate) {
  if (learning_rate > 0.0f && std::isfinite(learning_rate)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("`learning_rate` = ", learning_rate, ", must be positive and finite"));
}

absl::Status CheckExchange(const Exchange& exchange, const Layout& layout) {
  if (absl::holds_alternative<DenseExchange>(exchange.kind) && layout.dealing().has_value()) {
    return absl::InvalidArgumentError(
        "`layout.dealing` is set, must be unset for a method that does not sketch");
  }
  // The decoder on the other side holds the rules; they are asked here rather than repeated.
  return DecodeExchange(EncodeExchange(exchange), layout, /*chunk=*/0).status();
}

absl::Status CheckSignExchange(const Exchange& exchange, const Layout& layout) {
  const ScaleRule rule = absl::get<SignExchange>(exchange.kind).scale_rule;
  switch (rule) {
    case ScaleRule::kRootMeanSquare:
    case ScaleRule::kMeanMagnitude:
      return layout.chunks()[0].dense ? absl::OkStatus() : CheckExchange(exchange, layout);
  }
  return absl::InvalidArgumentError(absl::StrCat("`scale_rule` = ", static_cast<int>(rule),
                                                 ", must be kRootMeanSquare or kMeanMagnitude"));
}

}  // namespace tally
