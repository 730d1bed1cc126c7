#include "client/optimizers/adam_factors.h"

#include "absl/types/span.h"
#include "base/status_macros.h"

namespace tally {

void AdamFactors::BeginStep(bool moves_second_moment) {
  first_power_ *= options_.beta1;
  if (moves_second_moment) second_power_ *= options_.beta2;
}

float AdamFactors::first_correction() const {
  return options_.bias_correction ? static_cast<float>(1.0 / (1.0 - first_power_)) : 1.0f;
}

float AdamFactors::second_correction() const {
  return options_.bias_correction ? static_cast<float>(1.0 / second_weight()) : 1.0f;
}

AdamArgs AdamFactors::Step() const {
  return {.beta1 = options_.beta1,
          .one_minus_beta1 = one_minus_beta1(),
          .beta2 = options_.beta2,
          .one_minus_beta2 = 1.0f - options_.beta2,
          .learning_rate = options_.learning_rate,
          .first_correction = first_correction(),
          .second_correction = second_correction(),
          .epsilon = options_.epsilon,
          .weight_decay = options_.weight_decay};
}

MomentumArgs AdamFactors::MomentumStep(float second_correction) const {
  return {.learning_rate = options_.learning_rate,
          .first_correction = first_correction(),
          .second_correction = second_correction,
          .epsilon = options_.epsilon,
          .weight_decay = options_.weight_decay};
}

void AdamFactors::Save(SavedStateWriter& writer) const {
  const double powers[] = {first_power_, second_power_};
  writer.AddValues<double>("beta_powers", powers);
}

absl::Status AdamFactors::Load(const SavedState& saved) {
  double powers[2];
  TALLY_RETURN_IF_ERROR(saved.Values("beta_powers", absl::MakeSpan(powers)));
  first_power_ = powers[0];
  second_power_ = powers[1];
  return absl::OkStatus();
}

}  // namespace tally
