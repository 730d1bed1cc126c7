#include "base/byte_size.h"

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

TEST(ParseByteSizeTest, ReadsWhatPeopleWrite) {
  const struct {
    absl::string_view text;
    uint64_t num_bytes;
  } kCases[] = {
      {"0", 0},
      {"1000000", 1'000'000},
      {"7B", 7},
      {"1KiB", 1'024},
      {"512MiB", 536'870'912},
      {"2GiB", 2'147'483'648},
      {"1.5GiB", 1'610'612'736},
      {"0.25TiB", 274'877'906'944},
      {"007KiB", 7'168},
      {"1.000000MiB", 1'048'576},
      // 102.4 and 1,099,510,528,264.37 bytes, rounded down.
      {"0.1KiB", 102},
      {"0.999999TiB", 1'099'510'528'264},
      {"18446744073709551615", kMax},
      {"16777215TiB", kMax - (uint64_t{1} << 40) + 1},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.text);
    EXPECT_THAT(ParseByteSize(test_case.text), IsOkAndHolds(test_case.num_bytes));
  }
}

TEST(ParseByteSizeTest, RefusesEverythingElseAndNamesTheRule) {
  constexpr absl::string_view kDigit = "must begin with a digit";
  constexpr absl::string_view kSuffix = "must end in a digit, B, KiB, MiB, GiB or TiB";
  constexpr absl::string_view kPoint = "must have 1 to 6 digits after the point";
  constexpr absl::string_view kWhole = "must be a whole number of bytes";
  constexpr absl::string_view kRange = "must be below 2^64 bytes";
  const struct {
    absl::string_view text;
    absl::string_view rule;
  } kCases[] = {
      {"", kDigit},
      {"GiB", kDigit},
      {".5GiB", kDigit},
      {"+1", kDigit},
      {" 1", kDigit},
      {"-1", "must not be negative"},
      {"-1GiB", "must not be negative"},
      {"1KB", kSuffix},
      {"1G", kSuffix},
      {"1gib", kSuffix},
      {"1 GiB", kSuffix},
      {"1GiB ", kSuffix},
      {"1PiB", kSuffix},
      {"1e9", kSuffix},
      {"1.5.5GiB", kSuffix},
      {"1.GiB", kPoint},
      {"1.0000000GiB", kPoint},
      {"1.5", kWhole},
      {"1.0B", kWhole},
      {"18446744073709551616", kRange},
      {"16777216TiB", kRange},
      {"16777215.9999999TiB", kPoint},
      {"99999999999999999999999GiB", kRange},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.text);
    EXPECT_THAT(ParseByteSize(test_case.text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(absl::StrCat("byte size `", test_case.text, "`")),
                               HasSubstr(test_case.rule))));
  }
}

TEST(FormatByteSizeTest, WritesTheLargestUnitRoundedDown) {
  const struct {
    uint64_t num_bytes;
    absl::string_view text;
  } kCases[] = {
      {0, "0B"},
      {1, "1B"},
      {1'023, "1023B"},
      {1'024, "1KiB"},
      {1'034, "1KiB"},
      {1'035, "1.01KiB"},
      {1'000'000, "976.56KiB"},
      {1'048'575, "1023.99KiB"},
      {536'870'912, "512MiB"},
      {1'610'612'736, "1.5GiB"},
      {kMax, "16777215.99TiB"},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.text);
    EXPECT_EQ(FormatByteSize(test_case.num_bytes), test_case.text);
  }
}

TEST(FormatByteSizeTest, IsReadBackExactlyForQuartersOfAUnit) {
  for (uint64_t unit = 1'024; unit <= uint64_t{1} << 40; unit *= 1'024) {
    for (uint64_t quarters : {4, 5, 6, 7, 1'022, 4'095}) {
      const uint64_t num_bytes = unit / 4 * quarters;
      EXPECT_THAT(ParseByteSize(FormatByteSize(num_bytes)), IsOkAndHolds(num_bytes));
    }
  }
}

}  // namespace
}  // namespace tally
