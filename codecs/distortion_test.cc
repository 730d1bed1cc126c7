#include "codecs/distortion.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

TEST(DistortionTest, OfAVectorFromItselfIsNone) {
  const std::vector<float> x = {3, -4, 0, 0.5f};
  const Distortion distortion = MeasureDistortion(x, x);
  EXPECT_EQ(distortion.max_error, 0);
  EXPECT_EQ(distortion.sign_flips, 0u);
  EXPECT_EQ(distortion.relative_error, 0);
  EXPECT_DOUBLE_EQ(distortion.cosine, 1);
}

TEST(DistortionTest, MatchesFiguresByHand) {
  const std::vector<float> x = {3, -4, 0, 0};
  const std::vector<float> y = {2, 4, 2, -1};
  const Distortion distortion = MeasureDistortion(x, y);
  EXPECT_EQ(distortion.max_error, 8);
  EXPECT_EQ(distortion.sign_flips, 2u);
  EXPECT_DOUBLE_EQ(distortion.relative_error, (1 + 64 + 4 + 1) / 25.0);
  EXPECT_DOUBLE_EQ(distortion.cosine, (6 - 16) / (5.0 * 5.0));
}

TEST(DistortionTest, CountsBothZerosAsPositive) {
  const std::vector<float> x = {0.0f, -0.0f, 1.0f, -1.0f};
  const std::vector<float> y = {-0.0f, 1.0f, -0.0f, 0.0f};
  EXPECT_EQ(MeasureDistortion(x, y).sign_flips, 1u);
}

TEST(DistortionTest, HasAnswersForZeroVectors) {
  const std::vector<float> zero = {0, 0};
  const std::vector<float> one = {0, 1};
  EXPECT_EQ(MeasureDistortion(zero, zero).relative_error, 0);
  EXPECT_EQ(MeasureDistortion(zero, zero).cosine, 0);
  EXPECT_EQ(MeasureDistortion(zero, one).relative_error, std::numeric_limits<double>::infinity());
  EXPECT_EQ(MeasureDistortion(one, zero).relative_error, 1);
  EXPECT_EQ(MeasureDistortion(one, zero).cosine, 0);
  EXPECT_EQ(MeasureDistortion({}, {}).relative_error, 0);
}

}  // namespace
}  // namespace tally
