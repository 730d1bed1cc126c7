#include "base/byte_size.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace tally {
namespace {

struct Unit {
  absl::string_view suffix;
  uint64_t num_bytes;
};

constexpr Unit kUnits[] = {
    {"TiB", uint64_t{1} << 40},
    {"GiB", uint64_t{1} << 30},
    {"MiB", uint64_t{1} << 20},
    {"KiB", uint64_t{1} << 10},
    {"B", 1},
};

// So that fraction * unit stays below 2^64 for every unit.
constexpr size_t kMaxFractionDigits = 6;

absl::Status Refusal(absl::string_view text, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat("byte size `", text, "` ", rule));
}

// Cuts the leading digits off `text` and returns them.
absl::string_view TakeDigits(absl::string_view* text) {
  const auto end = std::find_if_not(text->begin(), text->end(), absl::ascii_isdigit);
  const size_t num_digits = end - text->begin();
  const absl::string_view digits = text->substr(0, num_digits);
  text->remove_prefix(num_digits);
  return digits;
}

// Returns floor(0.digits * unit).
uint64_t FractionOf(absl::string_view digits, uint64_t unit) {
  uint64_t numerator = 0;
  uint64_t denominator = 1;
  for (const char digit : digits) {
    numerator = numerator * 10 + static_cast<uint64_t>(digit - '0');
    denominator *= 10;
  }
  return numerator * unit / denominator;
}

}  // namespace

absl::StatusOr<uint64_t> ParseByteSize(absl::string_view text) {
  absl::string_view rest = text;
  if (!rest.empty() && rest[0] == '-') return Refusal(text, "must not be negative");
  const absl::string_view whole_digits = TakeDigits(&rest);
  if (whole_digits.empty()) return Refusal(text, "must begin with a digit");

  const bool has_point = !rest.empty() && rest[0] == '.';
  if (has_point) rest.remove_prefix(1);
  const absl::string_view fraction_digits = has_point ? TakeDigits(&rest) : absl::string_view();
  if (has_point && (fraction_digits.empty() || fraction_digits.size() > kMaxFractionDigits)) {
    return Refusal(text,
                   absl::StrCat("must have 1 to ", kMaxFractionDigits, " digits after the point"));
  }

  const absl::string_view suffix = rest.empty() ? "B" : rest;
  const auto* unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                  [suffix](const Unit& u) { return u.suffix == suffix; });
  if (unit == std::end(kUnits)) {
    return Refusal(text, "must end in a digit, B, KiB, MiB, GiB or TiB");
  }
  if (has_point && unit->num_bytes == 1) return Refusal(text, "must be a whole number of bytes");

  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  const uint64_t fraction = FractionOf(fraction_digits, unit->num_bytes);
  uint64_t whole = 0;
  if (!absl::SimpleAtoi(whole_digits, &whole) || whole > (kMax - fraction) / unit->num_bytes) {
    return Refusal(text, "must be below 2^64 bytes");
  }
  return whole * unit->num_bytes + fraction;
}

std::string FormatByteSize(uint64_t num_bytes) {
  const auto* unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                  [num_bytes](const Unit& u) { return num_bytes >= u.num_bytes; });
  if (unit == std::end(kUnits)) return "0B";
  const uint64_t whole = num_bytes / unit->num_bytes;
  const uint64_t hundredths = num_bytes % unit->num_bytes * 100 / unit->num_bytes;
  if (hundredths == 0) return absl::StrCat(whole, unit->suffix);
  if (hundredths % 10 == 0) return absl::StrCat(whole, ".", hundredths / 10, unit->suffix);
  return absl::StrFormat("%d.%02d%s", whole, hundredths, unit->suffix);
}

}  // namespace tally
