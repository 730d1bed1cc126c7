#include "tools/quantity.h"

#include <cstdint>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(QuantityTest, ReadsCounts) {
  const struct {
    const char* text;
    uint64_t count;
  } cases[] = {{"16", 16}, {"25.6e6", 25'600'000}, {"1e10", 10'000'000'000}, {"7.0", 7}};
  for (const auto& row : cases) {
    SCOPED_TRACE(row.text);
    EXPECT_THAT(ParseCount("--parameters", row.text), IsOkAndHolds(row.count));
  }
}

TEST(QuantityTest, RefusesWhatIsNoCount) {
  for (const char* text : {"", "0", "-3", "1.5", "1e17", "inf", "nan", "many", "16x", " 16"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseCount("--workers", text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(absl::StrCat("`--workers` = \"", text, "\"")),
                               HasSubstr("whole number from 1 to 2^53"))));
  }
}

TEST(QuantityTest, RefusesSmallCountsThatAreLarge) {
  EXPECT_THAT(ParseSmallCount("--workers", "4294967295"), IsOkAndHolds(4294967295u));
  EXPECT_THAT(ParseSmallCount("--workers", "4294967296"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("below 2^32")));
  EXPECT_THAT(ParseSmallCount("--workers", "x"), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(QuantityTest, ReadsRates) {
  const struct {
    const char* text;
    double bits_per_second;
  } cases[] = {{"1Gbps", 1e9},    {"250Mbps", 250e6}, {"2.5 Mbps", 2.5e6}, {"64kbps", 64e3},
               {"9600bps", 9600}, {"0.1Tbps", 1e11},  {"1e3Mbps", 1e9}};
  for (const auto& row : cases) {
    SCOPED_TRACE(row.text);
    EXPECT_THAT(ParseBitRate("--uplink", row.text), IsOkAndHolds(row.bits_per_second));
  }
}

// "1G" might be bytes, "1GBps" is.
TEST(QuantityTest, RefusesWhatIsNoRate) {
  for (const char* text :
       {"", "1", "1G", "1GBps", "Gbps", "0bps", "-1Gbps", "infbps", "2000Tbps", "1Gbps "}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseBitRate("--uplink", text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(absl::StrCat("`--uplink` = \"", text, "\"")),
                               HasSubstr("must be a positive rate"))));
  }
}

TEST(QuantityTest, ReadsTimes) {
  EXPECT_THAT(ParseTime("--step", "120ms"), IsOkAndHolds(absl::Milliseconds(120)));
  EXPECT_THAT(ParseTime("--step", "1m1.5s"), IsOkAndHolds(absl::Milliseconds(61'500)));
  EXPECT_THAT(ParseTime("--step", "0"), IsOkAndHolds(absl::ZeroDuration()));
}

TEST(QuantityTest, RefusesWhatIsNoTime) {
  for (const char* text : {"", "120", "-1ms", "inf", "soon"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseTime("--step", text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(absl::StrCat("`--step` = \"", text, "\"")),
                               HasSubstr("must be a time that is not negative"))));
  }
}

}  // namespace
}  // namespace tally
