// GoogleMock matchers for absl::Status and absl::StatusOr; the distribution's Abseil has none.
#ifndef TALLY_TESTS_UTIL_STATUS_MATCHERS_H_
#define TALLY_TESTS_UTIL_STATUS_MATCHERS_H_

#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"

namespace tally {
namespace status_matchers_internal {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }

template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// Matches a status by code and message; works on a Status and on any StatusOr.
class StatusIsMatcher {
 public:
  using is_gtest_matcher = void;

  StatusIsMatcher(absl::StatusCode code, testing::Matcher<const std::string&> message_matcher)
      : code_(code), message_matcher_(std::move(message_matcher)) {}

  template <typename StatusOrResult>
  bool MatchAndExplain(const StatusOrResult& value, testing::MatchResultListener* listener) const {
    return Explain(StatusOf(value), listener);
  }

  void DescribeTo(std::ostream* os) const;
  void DescribeNegationTo(std::ostream* os) const;

 private:
  bool Explain(const absl::Status& status, testing::MatchResultListener* listener) const;

  absl::StatusCode code_;
  testing::Matcher<const std::string&> message_matcher_;
};

// Matches an OK status; works on a Status and on any StatusOr.
class IsOkMatcher {
 public:
  using is_gtest_matcher = void;

  template <typename StatusOrResult>
  bool MatchAndExplain(const StatusOrResult& value, testing::MatchResultListener* listener) const {
    return Explain(StatusOf(value), listener);
  }

  void DescribeTo(std::ostream* os) const;
  void DescribeNegationTo(std::ostream* os) const;

 private:
  static bool Explain(const absl::Status& status, testing::MatchResultListener* listener);
};

template <typename StatusOrType>
class IsOkAndHoldsImplementation : public testing::MatcherInterface<StatusOrType> {
 public:
  using Value = typename std::remove_cvref_t<StatusOrType>::value_type;

  explicit IsOkAndHoldsImplementation(testing::Matcher<const Value&> value_matcher)
      : value_matcher_(std::move(value_matcher)) {}

  bool MatchAndExplain(StatusOrType result, testing::MatchResultListener* listener) const override {
    if (!IsOkMatcher().MatchAndExplain(result, listener)) return false;
    *listener << "which holds " << testing::PrintToString(*result) << " ";
    return value_matcher_.MatchAndExplain(*result, listener);
  }

  void DescribeTo(std::ostream* os) const override {
    *os << "is OK and holds a value that ";
    value_matcher_.DescribeTo(os);
  }

  void DescribeNegationTo(std::ostream* os) const override {
    *os << "is not OK or holds a value that ";
    value_matcher_.DescribeNegationTo(os);
  }

 private:
  testing::Matcher<const Value&> value_matcher_;
};

// Stands for the matcher until the type of the StatusOr is known.
template <typename ValueMatcher>
class IsOkAndHoldsMatcher {
 public:
  explicit IsOkAndHoldsMatcher(ValueMatcher value_matcher)
      : value_matcher_(std::move(value_matcher)) {}

  template <typename StatusOrType>
  operator testing::Matcher<StatusOrType>() const {  // NOLINT(google-explicit-constructor)
    using Implementation = IsOkAndHoldsImplementation<StatusOrType>;
    return testing::Matcher<StatusOrType>(new Implementation(
        testing::SafeMatcherCast<const typename Implementation::Value&>(value_matcher_)));
  }

 private:
  ValueMatcher value_matcher_;
};

}  // namespace status_matchers_internal

// Matches a Status or StatusOr that is OK.
inline status_matchers_internal::IsOkMatcher IsOk() { return {}; }

// Matches an OK StatusOr whose value matches `value_matcher`, a matcher or a plain value.
template <typename ValueMatcher>
status_matchers_internal::IsOkAndHoldsMatcher<std::decay_t<ValueMatcher>> IsOkAndHolds(
    ValueMatcher&& value_matcher) {
  return status_matchers_internal::IsOkAndHoldsMatcher<std::decay_t<ValueMatcher>>(
      std::forward<ValueMatcher>(value_matcher));
}

// Matches a Status or StatusOr whose code is `code`, whatever its message.
inline status_matchers_internal::StatusIsMatcher StatusIs(absl::StatusCode code) {
  return {code, testing::A<const std::string&>()};
}

// Matches a Status or StatusOr whose code is `code` and whose message matches `message_matcher`, a
// matcher of std::string or the whole message.
inline status_matchers_internal::StatusIsMatcher StatusIs(
    absl::StatusCode code, testing::Matcher<const std::string&> message_matcher) {
  return {code, std::move(message_matcher)};
}

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_STATUS_MATCHERS_H_
