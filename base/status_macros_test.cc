#include "base/status_macros.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

absl::Status CountUnlessError(const absl::Status& status, int* count) {
  TALLY_RETURN_IF_ERROR(status);
  ++*count;
  return absl::OkStatus();
}

absl::StatusOr<int> Sum(const absl::StatusOr<int>& a, absl::StatusOr<std::unique_ptr<int>> b) {
  TALLY_ASSIGN_OR_RETURN(const int left, a);
  TALLY_ASSIGN_OR_RETURN(std::unique_ptr<int> right, std::move(b));
  return left + *right;
}

TEST(ReturnIfErrorTest, GoesOnAfterOk) {
  int count = 0;
  EXPECT_THAT(CountUnlessError(absl::OkStatus(), &count), IsOk());
  EXPECT_EQ(count, 1);
}

TEST(ReturnIfErrorTest, ReturnsTheErrorAtOnce) {
  int count = 0;
  EXPECT_THAT(CountUnlessError(absl::NotFoundError("gone"), &count),
              StatusIs(absl::StatusCode::kNotFound, "gone"));
  EXPECT_EQ(count, 0);
}

TEST(AssignOrReturnTest, AssignsAlsoMoveOnlyValues) {
  EXPECT_THAT(Sum(1, std::make_unique<int>(2)), IsOkAndHolds(3));
}

TEST(AssignOrReturnTest, ReturnsTheFirstError) {
  EXPECT_THAT(Sum(absl::NotFoundError("a"), absl::NotFoundError("b")),
              StatusIs(absl::StatusCode::kNotFound, "a"));
  EXPECT_THAT(Sum(1, absl::NotFoundError("b")), StatusIs(absl::StatusCode::kNotFound, "b"));
}

}  // namespace
}  // namespace tally
