// Many schedules of faults, each from a seed. A failure names its seed, which `soak` takes too.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simulation/schedule.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr uint64_t kSchedulesPerTest = 100;

class SchedulesTest : public testing::TestWithParam<uint64_t> {};

TEST_P(SchedulesTest, EveryInvariantHolds) {
  for (uint64_t i = 0; i < kSchedulesPerTest; ++i) {
    const uint64_t seed = GetParam() * kSchedulesPerTest + i;
    ASSERT_THAT(CheckSchedule(ScheduleOf(seed)), IsOk()) << "seed " << seed;
  }
}

// Schedules that have found something (docs/simulation.md).
TEST(FoundSchedulesTest, EveryInvariantHolds) {
  for (const uint64_t seed :
       {2010247u,  3012927u,  118379u,   153475u,   162168u,   169251u,  177496u, 204135u,
        212654u,   226244u,   305513u,   391391u,   400847u,   420687u,  428855u, 10055746u,
        10062340u, 10085781u, 10105531u, 10123635u, 10156491u, 20028964u}) {
    EXPECT_THAT(CheckSchedule(ScheduleOf(seed)), IsOk()) << "seed " << seed;
  }
}

// 20,000 in all; under sanitizers, which see the same code again and again, the first 1,000
// (BUILD).
INSTANTIATE_TEST_SUITE_P(First, SchedulesTest, testing::Range(uint64_t{0}, uint64_t{10}));
INSTANTIATE_TEST_SUITE_P(Further, SchedulesTest, testing::Range(uint64_t{10}, uint64_t{200}));

}  // namespace
}  // namespace tally
