#include "client/optimizers/zeroone_schedule.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"

namespace tally {
namespace {

constexpr uint64_t kLongestInterval = uint64_t{1} << 32;

absl::Status CheckPositive(absl::string_view field, uint64_t value) {
  if (value > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("`", field, "` = 0, must be at least 1"));
}

}  // namespace

absl::Status ValidateZeroOneScheduleOptions(const ZeroOneScheduleOptions& options) {
  TALLY_RETURN_IF_ERROR(CheckPositive("variance_steps", options.variance_steps));
  TALLY_RETURN_IF_ERROR(CheckPositive("variance_scaler", options.variance_scaler));
  TALLY_RETURN_IF_ERROR(CheckPositive("local_step_scaler", options.local_step_scaler));
  if (options.max_local_steps >= 1 && options.max_local_steps <= kLongestInterval) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("`max_local_steps` = ", options.max_local_steps,
                                                 ", must be from 1 to ", kLongestInterval));
}

ZeroOneSchedule::Action ZeroOneSchedule::Next() const {
  const uint64_t step = steps_ + 1;
  if (frozen()) return step % local_interval_ == 0 ? Action::kExchange : Action::kLocal;
  return step % variance_interval_ == 0 ? Action::kRefresh : Action::kSigns;
}

void ZeroOneSchedule::Advance() {
  const Action action = Next();
  ++steps_;
  switch (action) {
    case Action::kSigns:
      return;
    case Action::kRefresh:
      if (++refreshes_ < options_.variance_scaler) return;
      refreshes_ = 0;
      variance_interval_ *= 2;
      return;
    case Action::kLocal:
    case Action::kExchange:
      if (++frozen_steps_ < options_.local_step_scaler) return;
      frozen_steps_ = 0;
      local_interval_ = std::min(2 * local_interval_, options_.max_local_steps);
  }
}

void ZeroOneSchedule::Save(SavedStateWriter& writer) const {
  const uint64_t values[] = {steps_, variance_interval_, refreshes_, local_interval_,
                             frozen_steps_};
  writer.AddValues<uint64_t>("schedule", values);
}

absl::Status ZeroOneSchedule::Load(const SavedState& saved) {
  uint64_t values[5];
  TALLY_RETURN_IF_ERROR(saved.Values("schedule", absl::MakeSpan(values)));
  const auto is_interval = [](uint64_t value) { return value >= 1 && value <= kLongestInterval; };
  if (!is_interval(values[1]) || !is_interval(values[3])) {
    return absl::InvalidArgumentError(absl::StrCat("saved state: `schedule` has the intervals ",
                                                   values[1], " and ", values[3],
                                                   ", must both be from 1 to ", kLongestInterval));
  }
  steps_ = values[0];
  variance_interval_ = values[1];
  refreshes_ = values[2];
  local_interval_ = values[3];
  frozen_steps_ = values[4];
  return absl::OkStatus();
}

}  // namespace tally
