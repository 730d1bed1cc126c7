#include "codecs/duration.h"

#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace tally {
namespace {

TEST(DurationTest, GivesSecondsAndNanosOfOneSign) {
  const struct {
    absl::Duration duration;
    int64_t seconds;
    int32_t nanos;
  } kRows[] = {
      {absl::ZeroDuration(), 0, 0},
      {absl::Milliseconds(1500), 1, 500'000'000},
      {absl::Milliseconds(-1500), -1, -500'000'000},
      {absl::Nanoseconds(1), 0, 1},
      {absl::Nanoseconds(1) / 2, 0, 0},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(absl::FormatDuration(row.duration));
    const google::protobuf::Duration message = EncodeDuration(row.duration);
    EXPECT_EQ(message.seconds(), row.seconds);
    EXPECT_EQ(message.nanos(), row.nanos);
  }
}

TEST(DurationTest, RoundTripsWholeNanoseconds) {
  for (const absl::Duration duration : {absl::ZeroDuration(), absl::Nanoseconds(-7),
                                        absl::Hours(24 * 365) + absl::Nanoseconds(1)}) {
    EXPECT_EQ(DecodeDuration(EncodeDuration(duration)), duration);
  }
}

TEST(DurationTest, TakesFieldsOfAnySize) {
  google::protobuf::Duration message;
  message.set_seconds(std::numeric_limits<int64_t>::max());
  message.set_nanos(std::numeric_limits<int32_t>::max());
  EXPECT_GT(DecodeDuration(message), absl::Hours(24));
  message.set_seconds(1);
  message.set_nanos(-1'500'000'000);
  EXPECT_EQ(DecodeDuration(message), absl::Milliseconds(-500));
}

}  // namespace
}  // namespace tally
