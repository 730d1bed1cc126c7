#include "tests/util/status_matchers.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pointee;

absl::Status OutOfRange() {
  return absl::InvalidArgumentError("`slots[2].count` = 9, must be below 8");
}

template <typename T, typename Matcher>
std::string Explanation(const T& value, const Matcher& matcher) {
  testing::StringMatchResultListener listener;
  testing::ExplainMatchResult(matcher, value, &listener);
  return listener.str();
}

template <typename T, typename Matcher>
std::string Description(const Matcher& matcher, bool negated) {
  return testing::DescribeMatcher<T>(matcher, negated);
}

TEST(IsOkTest, MatchesOkStatusAndOkStatusOr) {
  EXPECT_THAT(absl::OkStatus(), IsOk());
  EXPECT_THAT(absl::StatusOr<int>(3), IsOk());
}

TEST(IsOkTest, RefusesErrors) {
  EXPECT_THAT(OutOfRange(), Not(IsOk()));
  EXPECT_THAT(absl::StatusOr<int>(OutOfRange()), Not(IsOk()));
}

TEST(IsOkTest, ExplainsAnErrorByItsStatus) {
  EXPECT_THAT(Explanation(absl::StatusOr<int>(OutOfRange()), IsOk()),
              Eq("whose status is INVALID_ARGUMENT: `slots[2].count` = 9, must be below 8"));
}

TEST(IsOkTest, DescribesItself) {
  EXPECT_THAT(Description<absl::Status>(IsOk(), /*negated=*/false), Eq("is OK"));
  EXPECT_THAT(Description<absl::Status>(IsOk(), /*negated=*/true), Eq("is not OK"));
}

TEST(IsOkAndHoldsTest, MatchesThePlainValue) {
  EXPECT_THAT(absl::StatusOr<int>(3), IsOkAndHolds(3));
}

TEST(IsOkAndHoldsTest, MatchesByMatcher) {
  EXPECT_THAT(absl::StatusOr<std::vector<int>>({1, 2}), IsOkAndHolds(ElementsAre(1, Gt(1))));
}

TEST(IsOkAndHoldsTest, MatchesMoveOnlyValues) {
  EXPECT_THAT(absl::StatusOr<std::unique_ptr<int>>(std::make_unique<int>(3)),
              IsOkAndHolds(Pointee(3)));
}

TEST(IsOkAndHoldsTest, RefusesAnotherValue) {
  EXPECT_THAT(absl::StatusOr<int>(4), Not(IsOkAndHolds(3)));
}

TEST(IsOkAndHoldsTest, RefusesErrors) {
  EXPECT_THAT(absl::StatusOr<int>(OutOfRange()), Not(IsOkAndHolds(3)));
}

TEST(IsOkAndHoldsTest, ExplainsValueOrError) {
  EXPECT_THAT(Explanation(absl::StatusOr<int>(4), IsOkAndHolds(3)), HasSubstr("which holds 4"));
  EXPECT_THAT(Explanation(absl::StatusOr<int>(OutOfRange()), IsOkAndHolds(3)),
              HasSubstr("INVALID_ARGUMENT: `slots[2].count`"));
}

TEST(IsOkAndHoldsTest, DescribesItself) {
  using Result = absl::StatusOr<int>;
  EXPECT_THAT(Description<Result>(IsOkAndHolds(3), /*negated=*/false),
              Eq("is OK and holds a value that is equal to 3"));
  EXPECT_THAT(Description<Result>(IsOkAndHolds(3), /*negated=*/true),
              Eq("is not OK or holds a value that isn't equal to 3"));
}

TEST(StatusIsTest, MatchesByCodeWhateverTheMessage) {
  EXPECT_THAT(OutOfRange(), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(absl::StatusOr<int>(OutOfRange()), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(StatusIsTest, MatchesOk) {
  EXPECT_THAT(absl::StatusOr<int>(3), StatusIs(absl::StatusCode::kOk));
}

TEST(StatusIsTest, MatchesByCodeAndMessage) {
  EXPECT_THAT(OutOfRange(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`slots[2].count`")));
  EXPECT_THAT(OutOfRange(), StatusIs(absl::StatusCode::kInvalidArgument,
                                     "`slots[2].count` = 9, must be below 8"));
}

TEST(StatusIsTest, RefusesAnotherCode) {
  EXPECT_THAT(OutOfRange(), Not(StatusIs(absl::StatusCode::kNotFound)));
  EXPECT_THAT(OutOfRange(), Not(StatusIs(absl::StatusCode::kNotFound, HasSubstr("slots"))));
  EXPECT_THAT(absl::OkStatus(), Not(StatusIs(absl::StatusCode::kInvalidArgument)));
}

TEST(StatusIsTest, RefusesAnotherMessage) {
  EXPECT_THAT(OutOfRange(),
              Not(StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`slots[3].count`"))));
}

TEST(StatusIsTest, ExplainsByTheStatus) {
  EXPECT_THAT(Explanation(OutOfRange(), StatusIs(absl::StatusCode::kNotFound)),
              HasSubstr("INVALID_ARGUMENT: `slots[2].count` = 9"));
}

TEST(StatusIsTest, DescribesItself) {
  EXPECT_THAT(
      Description<absl::Status>(StatusIs(absl::StatusCode::kNotFound, "gone"), /*negated=*/false),
      Eq("has the code NOT_FOUND and a message that is equal to \"gone\""));
  EXPECT_THAT(
      Description<absl::Status>(StatusIs(absl::StatusCode::kNotFound, "gone"), /*negated=*/true),
      Eq("has another code than NOT_FOUND or a message that isn't equal to \"gone\""));
}

}  // namespace
}  // namespace tally
