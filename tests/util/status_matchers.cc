#include "tests/util/status_matchers.h"

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"

namespace tally {
namespace status_matchers_internal {

void StatusIsMatcher::DescribeTo(std::ostream* os) const {
  *os << "has the code " << code_ << " and a message that ";
  message_matcher_.DescribeTo(os);
}

void StatusIsMatcher::DescribeNegationTo(std::ostream* os) const {
  *os << "has another code than " << code_ << " or a message that ";
  message_matcher_.DescribeNegationTo(os);
}

bool StatusIsMatcher::Explain(const absl::Status& status,
                              testing::MatchResultListener* listener) const {
  *listener << "whose status is " << status.ToString();
  return status.code() == code_ && message_matcher_.Matches(std::string(status.message()));
}

void IsOkMatcher::DescribeTo(std::ostream* os) const { *os << "is OK"; }

void IsOkMatcher::DescribeNegationTo(std::ostream* os) const { *os << "is not OK"; }

bool IsOkMatcher::Explain(const absl::Status& status, testing::MatchResultListener* listener) {
  if (!status.ok()) *listener << "whose status is " << status.ToString();
  return status.ok();
}

}  // namespace status_matchers_internal
}  // namespace tally
