#include "client/optimizers/birder_options.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "client/optimizers/step_arguments.h"

namespace tally {

absl::Status ValidateBirderOptions(const BirderOptions& options, const Layout& layout) {
  const std::pair<absl::string_view, float> betas[] = {
      {"beta", options.beta}, {"magnitude_beta", options.magnitude_beta.value_or(options.beta)}};
  for (const auto& [field, beta] : betas) {
    if (!(beta >= 0.0f && beta < 1.0f)) {
      return absl::InvalidArgumentError(
          absl::StrCat("`", field, "` = ", beta, ", must be in [0, 1)"));
    }
  }
  TALLY_RETURN_IF_ERROR(ValidateSgdOptions(StepOptionsOf(options)));
  const Exchange dense = {DenseExchange{options.method.dense_dtype}, Divisor::kParticipants};
  TALLY_RETURN_IF_ERROR(CheckExchange(dense, layout));
  if (layout.chunks()[0].dense) return absl::OkStatus();
  return CheckExchange(VoteExchangeOf(options), layout);
}

Exchange VoteExchangeOf(const BirderOptions& options) {
  return {VoteExchange{options.vote_counts ? VoteResult::kCounts : VoteResult::kDrawn},
          Divisor::kParticipants};
}

SgdOptions StepOptionsOf(const BirderOptions& options) {
  return {.learning_rate = options.learning_rate,
          .momentum = options.beta,
          .weight_decay = options.weight_decay,
          .method = options.method};
}

}  // namespace tally
