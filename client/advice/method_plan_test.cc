#include "client/advice/method_plan.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

// A method that is added later must be planned here too.
TEST(PlanOfTest, KnowsEveryMethod) {
  for (const absl::string_view name : OptimizerNames()) {
    SCOPED_TRACE(name);
    const absl::StatusOr<MethodPlan> plan = PlanOf(name, {}, 1000);
    ASSERT_THAT(plan, IsOk());
    uint64_t rounds = 0;
    for (const PlannedPhase& phase : plan->phases) rounds += phase.rounds;
    EXPECT_EQ(rounds, 1000u);
    EXPECT_FALSE(plan->settings.empty());
  }
}

TEST(PlanOfTest, RefusesOtherNames) {
  EXPECT_THAT(PlanOf("adam", {}, 1000),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("`method` = \"adam\"")));
}

TEST(PlanOfTest, WarmsUpAsLongAsItIsTold) {
  OptimizerOptions options;
  options.warmup_rounds = 70;
  for (const char* method : {"onebit_adam", "sketched_amsgrad"}) {
    SCOPED_TRACE(method);
    const absl::StatusOr<MethodPlan> plan = PlanOf(method, options, 1000);
    ASSERT_THAT(plan, IsOk());
    ASSERT_EQ(plan->phases.size(), 2u);
    EXPECT_EQ(plan->phases[0].rounds, 70u);
    EXPECT_FALSE(plan->phases[0].compressed);
    EXPECT_EQ(plan->phases[1].rounds, 930u);
    EXPECT_TRUE(plan->phases[1].compressed);
    EXPECT_THAT(plan->settings, HasSubstr("warm-up 70"));
  }
}

TEST(PlanOfTest, FollowsTheScheduleOfZeroOneAdam) {
  OptimizerOptions options;
  options.schedule.variance_scaler = 2;
  options.schedule.local_step_scaler = 4;
  options.schedule.max_local_steps = 2;
  options.warmup_rounds = 8;
  const absl::StatusOr<MethodPlan> plan = PlanOf("zeroone_adam", options, 20);
  ASSERT_THAT(plan, IsOk());
  ASSERT_EQ(plan->phases.size(), 3u);
  // Steps 1, 2 (every one), 4, 6 (every second), 8 (every fourth).
  EXPECT_EQ(plan->phases[0].rounds, 5u);
  EXPECT_FALSE(plan->phases[0].compressed);
  EXPECT_EQ(plan->phases[1].rounds, 3u);
  EXPECT_TRUE(plan->phases[1].compressed);
  // Steps 9 to 12 each, 13 to 20 every second.
  EXPECT_EQ(plan->phases[2].rounds, 12u);
  EXPECT_TRUE(plan->phases[2].compressed);
  EXPECT_DOUBLE_EQ(plan->phases[2].exchanges_per_round, 8.0 / 12);
  EXPECT_EQ(PlanOf("zeroone_adam", options, 8)->phases.size(), 2u);
}

TEST(PlanOfTest, AssumesAWarmUpWhereTheMethodDecides) {
  EXPECT_EQ(PlanOf("onebit_adam", {}, 1000)->phases[0].rounds, 200u);
  EXPECT_EQ(PlanOf("sketched_amsgrad", {}, 1000)->phases[0].rounds, 1u);
}

TEST(PlanOfTest, NamesTheNumberFormatOfTheWarmUpUnlessItIsTheUsualOne) {
  OptimizerOptions options;
  EXPECT_EQ(PlanOf("onebit_adam", options, 1000)->settings, "blocks of 4096, warm-up 200");
  options.dtype = DType::kFloat16;
  options.granularity.unit = ScaleGranularity::Unit::kTensor;
  EXPECT_EQ(PlanOf("onebit_adam", options, 1000)->settings,
            "a scale per tensor, warm-up 200 in float16");
}

}  // namespace
}  // namespace tally
