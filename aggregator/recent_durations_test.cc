#include "aggregator/recent_durations.h"

#include "gtest/gtest.h"

namespace tally {
namespace {

TEST(RecentDurationsTest, OfNothingAreZero) {
  const RecentDurations times(4);
  EXPECT_EQ(times.size(), 0u);
  EXPECT_EQ(times.Median(), absl::ZeroDuration());
  EXPECT_EQ(times.Deviation(), absl::ZeroDuration());
}

TEST(RecentDurationsTest, OneLongOneMovesNeitherMedianNorDeviation) {
  RecentDurations times(8);
  for (const int seconds : {2, 4, 3, 2, 500}) times.Add(absl::Seconds(seconds));
  EXPECT_EQ(times.Median(), absl::Seconds(3));
  EXPECT_EQ(times.Deviation(), absl::Seconds(1));
}

TEST(RecentDurationsTest, OldOnesAreForgotten) {
  RecentDurations times(4);
  times.Add(absl::Hours(1));
  for (int i = 0; i < 4; ++i) times.Add(absl::Seconds(1));
  EXPECT_EQ(times.Deviation(), absl::ZeroDuration());
  for (int i = 0; i < 3; ++i) times.Add(absl::Seconds(5));
  EXPECT_EQ(times.Median(), absl::Seconds(5));
}

}  // namespace
}  // namespace tally
