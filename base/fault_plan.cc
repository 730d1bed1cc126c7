#include "base/fault_plan.h"

#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tally {
namespace {

absl::Status FaultError(absl::string_view key, absl::string_view value, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat("`faults.", key, "` = \"", value, "\", ", rule));
}

}  // namespace

absl::StatusOr<FaultPlan> ParseFaultPlan(absl::string_view text) {
  FaultPlan plan;
  if (text.empty()) return plan;
  const std::pair<absl::string_view, absl::Duration*> durations[] = {
      {"cut", &plan.cut}, {"delay", &plan.delay}, {"kill", &plan.kill}};
  std::set<std::string> seen;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<std::string, std::string> entry = absl::StrSplit(part, absl::MaxSplits('=', 1));
    const auto& [key, value] = entry;
    if (!seen.insert(key).second) return FaultError(key, value, "must come once");
    if (key == "seed") {
      if (absl::SimpleAtoi(value, &plan.seed)) continue;
      return FaultError(key, value, "must be a whole number");
    }
    absl::Duration* known = nullptr;
    for (const auto& [name, duration] : durations) {
      if (key == name) known = duration;
    }
    if (known == nullptr) {
      return FaultError(key, value, "must be one of seed, cut, delay, kill: \"seed=1,cut=2s\"");
    }
    if (!absl::ParseDuration(value, known) || *known <= absl::ZeroDuration()) {
      return FaultError(key, value, "must be a positive duration, such as 200ms");
    }
  }
  return plan;
}

absl::Duration TimeAround(absl::Duration mean, Choices& choices) {
  if (mean == absl::InfiniteDuration()) return mean;
  return choices.Between(absl::ZeroDuration(), 2 * mean);
}

}  // namespace tally
