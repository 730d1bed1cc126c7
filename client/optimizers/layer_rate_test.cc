#include "client/optimizers/layer_rate.h"

#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(LayerRateTest, TheCoefficientIsTheNormsRatioWithinBounds) {
  const LayerRateOptions options = {.min_coefficient = 0.25, .max_coefficient = 8.0};
  LayerRate rate(options);
  EXPECT_EQ(rate.Coefficient(6.0, 4.0), 1.5);
  EXPECT_EQ(rate.Coefficient(1.0, 100.0), 0.25);
  EXPECT_EQ(rate.Coefficient(100.0, 1.0), 8.0);
}

TEST(LayerRateTest, TheMeanGivesEachStepItsWeight) {
  const LayerRateOptions options = {.coefficient_beta = 0.5};
  LayerRate rate(options);
  EXPECT_EQ(rate.mean(), 1.0);
  rate.Coefficient(2.0, 1.0);
  EXPECT_EQ(rate.mean(), 2.0);  // not half of it
  rate.Coefficient(5.0, 1.0);
  EXPECT_DOUBLE_EQ(rate.mean(), (0.25 * 2.0 + 0.5 * 5.0) / 0.75);
}

TEST(LayerRateTest, ANormThatSaysNothingGivesOneAndLeavesTheMean) {
  const LayerRateOptions options;
  LayerRate rate(options);
  rate.Coefficient(2.0, 1.0);
  const double before = rate.mean();
  EXPECT_EQ(rate.Coefficient(0.0, 1.0), 1.0);
  EXPECT_EQ(rate.Coefficient(1.0, 0.0), 1.0);
  EXPECT_EQ(rate.Coefficient(1.0, kNan), 1.0);
  EXPECT_EQ(rate.mean(), before);
}

TEST(LayerRateTest, TheFactorFollowsTheRatioStepByStep) {
  const LayerRateOptions options = {.factor_threshold = 0.25};
  LayerRate rate(options);
  rate.Coefficient(2.0, 1.0);
  EXPECT_EQ(rate.FrozenCoefficient(1.125, 1.0), 2.25);
  EXPECT_EQ(rate.FrozenCoefficient(100.0, 1.0), 2.0 * 1.125 * 1.25);
  EXPECT_EQ(rate.FrozenCoefficient(0.0, 1.0), 2.0 * 1.125 * 1.25 * 0.75);
  EXPECT_EQ(rate.mean(), 2.0);
}

TEST(LayerRateTest, TheFactorStaysWithinItsBounds) {
  const LayerRateOptions options;
  LayerRate rate(options);
  double coefficient = 0;
  for (int step = 0; step < 100; ++step) coefficient = rate.FrozenCoefficient(1e9, 1.0);
  EXPECT_EQ(coefficient, options.max_factor);
  for (int step = 0; step < 100; ++step) coefficient = rate.FrozenCoefficient(1e-9, 1.0);
  EXPECT_EQ(coefficient, options.min_factor);
}

TEST(LayerRateTest, WeightDecayDrawsTheFactorTowardsOne) {
  const LayerRateOptions options = {.factor_threshold = 0.5};
  LayerRate rate(options);
  EXPECT_EQ(rate.FrozenCoefficient(1.5, 0.5), 1.25);
  LayerRate decay_only(options);
  EXPECT_EQ(decay_only.FrozenCoefficient(1.5, 0.0), 1.0);
}

TEST(LayerRateTest, GoesOnFromItsState) {
  const LayerRateOptions options;
  LayerRate rate(options);
  rate.Coefficient(3.0, 1.0);
  rate.FrozenCoefficient(1.05, 1.0);
  LayerRate other(options);
  other.set_state(rate.state());
  EXPECT_EQ(other.FrozenCoefficient(1.1, 1.0), rate.FrozenCoefficient(1.1, 1.0));
}

TEST(LayerRateTest, RefusesBadOptions) {
  struct Row {
    std::string field;
    void (*spoil)(LayerRateOptions&);
  };
  const Row rows[] = {
      {"`min_coefficient`", [](LayerRateOptions& o) { o.min_coefficient = 0.0; }},
      {"`max_coefficient`", [](LayerRateOptions& o) { o.max_coefficient = 0.001; }},
      {"`max_coefficient`",
       [](LayerRateOptions& o) { o.max_coefficient = std::numeric_limits<double>::infinity(); }},
      {"`coefficient_beta`", [](LayerRateOptions& o) { o.coefficient_beta = 1.0; }},
      {"`min_factor`", [](LayerRateOptions& o) { o.min_factor = 1.5; }},
      {"`min_factor`", [](LayerRateOptions& o) { o.min_factor = kNan; }},
      {"`max_factor`", [](LayerRateOptions& o) { o.max_factor = 0.9; }},
      {"`factor_threshold`", [](LayerRateOptions& o) { o.factor_threshold = 0.0; }},
      {"`factor_threshold`", [](LayerRateOptions& o) { o.factor_threshold = 1.0; }},
  };
  EXPECT_THAT(ValidateLayerRateOptions({}), IsOk());
  for (const Row& row : rows) {
    SCOPED_TRACE(row.field);
    LayerRateOptions options;
    row.spoil(options);
    EXPECT_THAT(ValidateLayerRateOptions(options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.field)));
  }
}

}  // namespace
}  // namespace tally
