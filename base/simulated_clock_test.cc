#include "base/simulated_clock.h"

#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

TEST(SimulatedClockTest, StartsAtTheUnixEpochByDefault) {
  EXPECT_EQ(SimulatedClock().Now(), absl::UnixEpoch());
}

TEST(SimulatedClockTest, StandsStillUntilMoved) {
  const absl::Time start = absl::FromUnixSeconds(1'000);
  const SimulatedClock clock(start);
  EXPECT_EQ(clock.Now(), start);
  EXPECT_EQ(clock.Now(), start);
}

TEST(SimulatedClockTest, AdvancesByWhatItIsTold) {
  SimulatedClock clock;
  clock.AdvanceBy(absl::Seconds(3));
  clock.AdvanceBy(absl::ZeroDuration());
  clock.AdvanceBy(absl::Milliseconds(250));
  EXPECT_EQ(clock.Now(), absl::UnixEpoch() + absl::Milliseconds(3'250));
}

TEST(SimulatedClockTest, IsSetToALaterTime) {
  SimulatedClock clock;
  clock.SetTime(absl::FromUnixSeconds(70));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(70));
}

TEST(SimulatedClockTest, LosesNoAdvanceAmongThreads) {
  SimulatedClock clock;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&clock] {
      for (int j = 0; j < 1'000; ++j) clock.AdvanceBy(absl::Nanoseconds(1));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(clock.Now(), absl::UnixEpoch() + absl::Nanoseconds(8'000));
}

TEST(SimulatedClockDeathTest, RefusesToGoBack) {
  SimulatedClock clock(absl::FromUnixSeconds(10));
  EXPECT_DEATH(clock.SetTime(absl::FromUnixSeconds(9)), "a clock never goes back");
  EXPECT_DEATH(clock.AdvanceBy(absl::Nanoseconds(-1)), "a clock never goes back");
}

}  // namespace
}  // namespace tally
