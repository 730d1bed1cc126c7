#include "kernels/device/memory_budget.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

TEST(MemoryBudgetTest, HasNoLimitAtFirst) {
  MemoryBudget budget("of memory");
  EXPECT_THAT(budget.Reserve(uint64_t{1} << 62), IsOk());
}

TEST(MemoryBudgetTest, RefusesWhatDoesNotFitWithBothFigures) {
  MemoryBudget budget("of memory");
  budget.Limit(100);
  ASSERT_THAT(budget.Reserve(60), IsOk());
  EXPECT_THAT(budget.Reserve(41),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       "41 bytes more of memory, where 60 are in use: the limit is 100"));
  EXPECT_THAT(budget.Reserve(40), IsOk());
  EXPECT_EQ(budget.used_bytes(), 100u);
}

TEST(MemoryBudgetTest, WhatComesBackMayBeReservedAgain) {
  MemoryBudget budget("of memory");
  budget.Limit(100);
  ASSERT_THAT(budget.Reserve(100), IsOk());
  budget.Release(30);
  EXPECT_THAT(budget.Reserve(30), IsOk());
}

TEST(MemoryBudgetTest, ALimitBelowWhatIsInUseRefusesEverything) {
  MemoryBudget budget("of memory");
  ASSERT_THAT(budget.Reserve(100), IsOk());
  budget.Limit(50);
  EXPECT_THAT(budget.Reserve(1), StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace tally
