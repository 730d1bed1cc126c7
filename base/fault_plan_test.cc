#include "base/fault_plan.h"

#include "base/choices.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

TEST(FaultPlanTest, ReadsEveryPart) {
  const absl::StatusOr<FaultPlan> plan = ParseFaultPlan("kill=1m,seed=7,cut=2s,delay=20ms");
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->seed, 7u);
  EXPECT_EQ(plan->cut, absl::Seconds(2));
  EXPECT_EQ(plan->delay, absl::Milliseconds(20));
  EXPECT_EQ(plan->kill, absl::Minutes(1));
  EXPECT_FALSE(plan->empty());
}

TEST(FaultPlanTest, NothingIsNoFault) {
  for (const char* text : {"", "seed=3"}) {
    const absl::StatusOr<FaultPlan> plan = ParseFaultPlan(text);
    ASSERT_THAT(plan, IsOk());
    EXPECT_TRUE(plan->empty());
  }
}

TEST(FaultPlanTest, RefusesWhatItCannotRead) {
  const struct {
    const char* text;
    const char* names;
  } cases[] = {
      {"drop=1s", "`faults.drop` = \"1s\", must be one of"},
      {"cut", "`faults.cut` = \"\", must be a positive duration"},
      {"cut=0s", "`faults.cut` = \"0s\", must be a positive duration"},
      {"delay=-1ms", "`faults.delay` = \"-1ms\", must be a positive duration"},
      {"kill=soon", "`faults.kill` = \"soon\", must be a positive duration"},
      {"seed=x", "`faults.seed` = \"x\", must be a whole number"},
      {"cut=1s,cut=2s", "`faults.cut` = \"2s\", must come once"},
      {"cut=1s,", "`faults.` = \"\", must be one of"},
  };
  for (const auto& broken : cases) {
    EXPECT_THAT(ParseFaultPlan(broken.text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(broken.names)))
        << broken.text;
  }
}

TEST(FaultPlanTest, TimesAreDrawnFromTheSeedAndStayWithinTheirBounds) {
  Choices choices(1, 2);
  Choices same(1, 2);
  for (int i = 0; i < 100; ++i) {
    const absl::Duration drawn = TimeAround(absl::Seconds(1), choices);
    EXPECT_EQ(drawn, TimeAround(absl::Seconds(1), same));
    EXPECT_GE(drawn, absl::ZeroDuration());
    EXPECT_LE(drawn, absl::Seconds(2));
  }
  EXPECT_EQ(TimeAround(absl::InfiniteDuration(), choices), absl::InfiniteDuration());
}

}  // namespace
}  // namespace tally
