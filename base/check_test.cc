#include "base/check.h"

#include "gtest/gtest.h"

namespace tally {
namespace {

TEST(CheckTest, PassesWhenTheConditionHolds) {
  int evaluations = 0;
  TALLY_CHECK(++evaluations == 1, "not reached");
  EXPECT_EQ(evaluations, 1);
}

TEST(CheckDeathTest, AbortsWithPlaceConditionAndMessage) {
  const int count = 0;
  EXPECT_DEATH(TALLY_CHECK(count > 0, "`count` must be positive"),
               "check_test.cc:[0-9]+: check `count > 0` failed: `count` must be positive");
}

}  // namespace
}  // namespace tally
