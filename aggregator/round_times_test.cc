#include "aggregator/round_times.h"

#include "gtest/gtest.h"

namespace tally {
namespace {

TEST(RoundTimesTest, WithoutRoundsThereIsNoTime) {
  const RoundTimes times;
  EXPECT_TRUE(times.empty());
  EXPECT_EQ(times.Median(), absl::ZeroDuration());
  EXPECT_EQ(times.Deviation(), absl::ZeroDuration());
}

TEST(RoundTimesTest, OneSlowRoundMovesNeitherMedianNorDeviation) {
  RoundTimes times;
  for (const int seconds : {2, 4, 3, 2, 500}) times.Add(absl::Seconds(seconds));
  EXPECT_EQ(times.Median(), absl::Seconds(3));
  EXPECT_EQ(times.Deviation(), absl::Seconds(1));
}

TEST(RoundTimesTest, OldRoundsAreForgotten) {
  RoundTimes times;
  times.Add(absl::Hours(1));
  for (size_t i = 0; i < RoundTimes::kKept; ++i) times.Add(absl::Seconds(1));
  EXPECT_EQ(times.Deviation(), absl::ZeroDuration());
  for (size_t i = 0; i < RoundTimes::kKept / 2 + 1; ++i) times.Add(absl::Seconds(5));
  EXPECT_EQ(times.Median(), absl::Seconds(5));
}

}  // namespace
}  // namespace tally
