#include "client/optimizers/zeroone_schedule.h"

#include <string>
#include <utility>

#include "codecs/layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

// The next steps, a letter each: V refreshes the variance, s exchanges signs, . is local, X
// exchanges what was done.
std::string Play(ZeroOneSchedule& schedule, int steps) {
  std::string played;
  for (int i = 0; i < steps; ++i) {
    switch (schedule.Next()) {
      case ZeroOneSchedule::Action::kRefresh:
        played += 'V';
        break;
      case ZeroOneSchedule::Action::kSigns:
        played += 's';
        break;
      case ZeroOneSchedule::Action::kLocal:
        played += '.';
        break;
      case ZeroOneSchedule::Action::kExchange:
        played += 'X';
        break;
    }
    schedule.Advance();
  }
  return played;
}

TEST(ZeroOneScheduleTest, TheVarianceIsRefreshedLessAndLessOften) {
  ZeroOneSchedule schedule({.variance_steps = 100, .variance_scaler = 2});
  EXPECT_EQ(Play(schedule, 28), "VVsVsVsVsssVsssVsssssssVssss");
}

TEST(ZeroOneScheduleTest, AfterTheFreezeExchangesBecomeRareUpToTheLongestInterval) {
  ZeroOneSchedule schedule(
      {.variance_steps = 3, .variance_scaler = 3, .local_step_scaler = 5, .max_local_steps = 4});
  //                              steps of  3  5    5    5     5
  EXPECT_EQ(Play(schedule, 23), std::string("VVV") + "XXXXX" + ".X.X." + "..X.." + ".X...");
}

TEST(ZeroOneScheduleTest, AnIntervalMayBeBoundedByWhatIsNoPowerOfTwo) {
  ZeroOneSchedule schedule({.variance_steps = 1, .local_step_scaler = 2, .max_local_steps = 3});
  EXPECT_EQ(Play(schedule, 13), "VXXX.X..X..X.");
}

TEST(ZeroOneScheduleTest, KnowsItsPhases) {
  ZeroOneSchedule schedule({.variance_steps = 4, .variance_scaler = 2});
  EXPECT_FALSE(schedule.compresses());
  Play(schedule, 2);
  EXPECT_TRUE(schedule.compresses());
  Play(schedule, 1);
  EXPECT_FALSE(schedule.frozen());
  Play(schedule, 1);
  EXPECT_TRUE(schedule.frozen());
  EXPECT_EQ(schedule.steps(), 4u);
}

TEST(ZeroOneScheduleTest, WithTheSourcesDefaultsIntervalsGrowToSixteen) {
  ZeroOneSchedule schedule({});
  EXPECT_EQ(Play(schedule, 16 + 32), "VVVVVVVVVVVVVVVVsVsVsVsVsVsVsVsVsVsVsVsVsVsVsVsV");
  Play(schedule, 100'000 - 48);
  EXPECT_EQ(Play(schedule, 4), "XXXX");
  Play(schedule, 200'000);
  const std::string late = Play(schedule, 160);
  EXPECT_EQ(std::count(late.begin(), late.end(), 'X'), 10);
}

const Layout& AnyLayout() {
  static const Layout* const layout =
      new Layout(*Layout::Create({{.name = "t", .num_elements = 1}}));
  return *layout;
}

TEST(ZeroOneScheduleTest, GoesOnFromASavedState) {
  const ZeroOneScheduleOptions options = {
      .variance_steps = 20, .variance_scaler = 3, .local_step_scaler = 7, .max_local_steps = 8};
  ZeroOneSchedule straight(options);
  const std::string expected = Play(straight, 60);
  for (int before = 0; before < 60; ++before) {
    ZeroOneSchedule first(options);
    const std::string head = Play(first, before);
    SavedStateWriter writer("test", AnyLayout(), 0);
    first.Save(writer);
    const std::string bytes = std::move(writer).Finish();
    ZeroOneSchedule second(options);
    ASSERT_THAT(second.Load(*SavedState::Parse(bytes)), IsOk());
    EXPECT_EQ(head + Play(second, 60 - before), expected);
  }
}

TEST(ZeroOneScheduleTest, RefusesASavedStateThatIsNone) {
  const std::string rows[] = {"x", std::string(40, '\0')};
  for (const std::string& content : rows) {
    SavedStateWriter writer("test", AnyLayout(), 0);
    writer.AddBytes("schedule", content);
    const std::string bytes = std::move(writer).Finish();
    ZeroOneSchedule schedule({});
    EXPECT_THAT(schedule.Load(*SavedState::Parse(bytes)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`schedule`")));
    EXPECT_EQ(schedule.Next(), ZeroOneSchedule::Action::kRefresh);
  }
}

TEST(ZeroOneScheduleTest, RefusesBadOptions) {
  struct Row {
    std::string field;
    void (*spoil)(ZeroOneScheduleOptions&);
  };
  const Row rows[] = {
      {"`variance_steps`", [](ZeroOneScheduleOptions& o) { o.variance_steps = 0; }},
      {"`variance_scaler`", [](ZeroOneScheduleOptions& o) { o.variance_scaler = 0; }},
      {"`local_step_scaler`", [](ZeroOneScheduleOptions& o) { o.local_step_scaler = 0; }},
      {"`max_local_steps`", [](ZeroOneScheduleOptions& o) { o.max_local_steps = 0; }},
      {"`max_local_steps`",
       [](ZeroOneScheduleOptions& o) { o.max_local_steps = (uint64_t{1} << 32) + 1; }},
  };
  EXPECT_THAT(ValidateZeroOneScheduleOptions({}), IsOk());
  for (const Row& row : rows) {
    SCOPED_TRACE(row.field);
    ZeroOneScheduleOptions options;
    row.spoil(options);
    EXPECT_THAT(ValidateZeroOneScheduleOptions(options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.field)));
  }
}

}  // namespace
}  // namespace tally
