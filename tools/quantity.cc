#include "tools/quantity.h"

#include <cmath>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace tally {
namespace {

constexpr double kMaxCount = 9007199254740992.0;  // 2^53

absl::Status Refusal(absl::string_view name, absl::string_view text, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat("`", name, "` = \"", text, "\", ", rule));
}

struct RateUnit {
  absl::string_view suffix;
  double bits_per_second;
};

// Longer suffixes first: every one ends in the last.
constexpr RateUnit kRateUnits[] = {
    {"Tbps", 1e12}, {"Gbps", 1e9}, {"Mbps", 1e6}, {"kbps", 1e3}, {"bps", 1}};

// Plain digits, perhaps with a point or an exponent: what SimpleAtod takes beside that ("nan",
// "inf") is no quantity.
bool ParseNumber(absl::string_view text, double* value) {
  return !text.empty() && absl::ascii_isdigit(static_cast<unsigned char>(text[0])) &&
         absl::SimpleAtod(text, value) && std::isfinite(*value);
}

}  // namespace

absl::StatusOr<uint64_t> ParseCount(absl::string_view name, absl::string_view text) {
  double value = 0;
  if (!ParseNumber(text, &value) || value != std::floor(value) || value < 1 || value > kMaxCount) {
    return Refusal(name, text, "must be a whole number from 1 to 2^53, such as 16 or 25.6e6");
  }
  return static_cast<uint64_t>(value);
}

absl::StatusOr<uint32_t> ParseSmallCount(absl::string_view name, absl::string_view text) {
  TALLY_ASSIGN_OR_RETURN(const uint64_t count, ParseCount(name, text));
  if (count > std::numeric_limits<uint32_t>::max()) {
    return Refusal(name, text, "must be below 2^32");
  }
  return static_cast<uint32_t>(count);
}

absl::StatusOr<double> ParseBitRate(absl::string_view name, absl::string_view text) {
  for (const RateUnit& unit : kRateUnits) {
    if (!absl::EndsWith(text, unit.suffix)) continue;
    double value = 0;
    const absl::string_view digits =
        absl::StripTrailingAsciiWhitespace(text.substr(0, text.size() - unit.suffix.size()));
    if (!ParseNumber(digits, &value) || value <= 0 || value * unit.bits_per_second > 1e15) break;
    return value * unit.bits_per_second;
  }
  return Refusal(name, text,
                 "must be a positive rate in bps, kbps, Mbps, Gbps or Tbps, at most 1000 Tbps, "
                 "such as 250Mbps");
}

absl::StatusOr<absl::Duration> ParseTime(absl::string_view name, absl::string_view text) {
  absl::Duration time;
  if (!absl::ParseDuration(text, &time) || time < absl::ZeroDuration() ||
      time == absl::InfiniteDuration()) {
    return Refusal(name, text, "must be a time that is not negative, such as 120ms or 1.5s");
  }
  return time;
}

}  // namespace tally
