#include "client/optimizers/adam_options.h"

#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(ValidateAdamOptionsTest, AcceptsTheDefaults) {
  EXPECT_THAT(ValidateAdamOptions(AdamOptions()), IsOk());
}

TEST(ValidateAdamOptionsTest, AcceptsTheEdges) {
  EXPECT_THAT(ValidateAdamOptions({.beta1 = 0.0f, .beta2 = 0.0f, .epsilon = 0.0f}), IsOk());
}

TEST(ValidateAdamOptionsTest, RefusesEachFieldOutOfItsRange) {
  struct Row {
    std::string field;
    float AdamOptions::*member;
    std::vector<float> values;
  };
  const Row rows[] = {
      {"learning_rate", &AdamOptions::learning_rate, {0.0f, -1.0f, kInfinity, kNan}},
      {"beta1", &AdamOptions::beta1, {-0.1f, 1.0f, kNan}},
      {"beta2", &AdamOptions::beta2, {-0.1f, 1.0f, kNan}},
      {"epsilon", &AdamOptions::epsilon, {-1e-8f, kInfinity, kNan}},
      {"weight_decay", &AdamOptions::weight_decay, {-1e-8f, kInfinity, kNan}},
  };
  for (const Row& row : rows) {
    for (const float value : row.values) {
      SCOPED_TRACE(row.field + " = " + std::to_string(value));
      AdamOptions options;
      options.*row.member = value;
      EXPECT_THAT(ValidateAdamOptions(options),
                  StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`" + row.field + "`")));
    }
  }
}

TEST(ValidateAdamOptionsTest, RefusesAPolicyThatIsNone) {
  AdamOptions options;
  options.non_finite = static_cast<NonFinitePolicy>(7);
  EXPECT_THAT(ValidateAdamOptions(options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`non_finite` = 7")));
}

TEST(BackendOfTest, TakesTheChosenOneOrTheFastestOnTheHost) {
  const Backend* const slowest = HostBackends().front();
  EXPECT_EQ(&BackendOf({.backend = slowest}), slowest);
  EXPECT_EQ(&BackendOf({}), FastestHostBackend());
}

}  // namespace
}  // namespace tally
