#include "base/clock.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::Gt;
using ::testing::Le;

TEST(RealClockTest, StartsAtTheWallClock) {
  // Both sources round by themselves; a minute tells the right time from a wrong epoch or unit.
  const absl::Duration slack = absl::Minutes(1);
  const absl::Time before = absl::Now();
  const absl::Time now = RealClock().Now();
  const absl::Time after = absl::Now();
  EXPECT_THAT(now, AllOf(Ge(before - slack), Le(after + slack)));
}

TEST(RealClockTest, NeverGoesBack) {
  const RealClock clock;
  absl::Time last = clock.Now();
  for (int i = 0; i < 100'000; ++i) {
    const absl::Time now = clock.Now();
    ASSERT_THAT(now, Ge(last));
    last = now;
  }
}

TEST(RealClockTest, GoesOn) {
  const RealClock clock;
  const absl::Time start = clock.Now();
  absl::Time now = start;
  for (int i = 0; i < 10'000'000 && now == start; ++i) now = clock.Now();
  EXPECT_THAT(now, Gt(start));
}

}  // namespace
}  // namespace tally
