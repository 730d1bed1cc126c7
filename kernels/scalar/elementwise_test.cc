#include "kernels/scalar/elementwise.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally::scalar {
namespace {

using testing::ElementsAre;

TEST(BlendTest, AddsTwoProducts) {
  const std::vector<float> x = {1.0f, 2.0f};
  const std::vector<float> y = {8.0f, -4.0f};
  std::vector<float> out(2);
  Blend(0.5f, x, 0.25f, y, absl::MakeSpan(out));
  EXPECT_THAT(out, ElementsAre(2.5f, 0.0f));
}

TEST(BlendTest, RoundsEachProduct) {
  // The square of 1 + 2^-12 has a term 2^-24, which only a fused multiply-add would keep.
  const std::vector<float> x = {1.0f + 0x1p-12f};
  const std::vector<float> y = {1.0f + 0x1p-11f};
  std::vector<float> out(1);
  Blend(x[0], x, -1.0f, y, absl::MakeSpan(out));
  EXPECT_THAT(out, ElementsAre(0.0f));
}

// One element with numbers that stay exact.
struct OneElement {
  std::vector<float> parameters = {4.0f};
  std::vector<float> first_moment = {2.0f};
  std::vector<float> second_moment = {8.0f};
  std::vector<float> largest_moment;
  std::vector<float> gradient = {4.0f};

  AdamArgs Args() {
    return {.parameters = absl::MakeSpan(parameters),
            .first_moment = absl::MakeSpan(first_moment),
            .second_moment = absl::MakeSpan(second_moment),
            .largest_moment = absl::MakeSpan(largest_moment),
            .gradient = gradient,
            .beta1 = 0.5f,
            .one_minus_beta1 = 0.5f,
            .beta2 = 0.5f,
            .one_minus_beta2 = 0.5f,
            .learning_rate = 0.5f,
            .first_correction = 2.0f,
            .second_correction = 3.0f,
            .epsilon = 2.0f,
            .weight_decay = 0.25f};
  }
};

TEST(AdamStepTest, MovesMomentsAndParameters) {
  OneElement element;
  AdamStep(element.Args());
  EXPECT_THAT(element.first_moment, ElementsAre(3.0f));
  EXPECT_THAT(element.second_moment, ElementsAre(12.0f));
  // 3 * 2 / (sqrt(12 * 3) + 2) = 0.75; with decay 0.25 * 4 the step is 0.5 * 1.75.
  EXPECT_THAT(element.parameters, ElementsAre(3.125f));
}

TEST(AdamStepTest, AmsGradDividesByTheLargestMomentSoFar) {
  OneElement element;
  element.largest_moment = {48.0f};
  AdamStep(element.Args());
  EXPECT_THAT(element.second_moment, ElementsAre(12.0f));
  EXPECT_THAT(element.largest_moment, ElementsAre(48.0f));
  // 3 * 2 / (sqrt(48 * 3) + 2) = 6 / 14.
  EXPECT_THAT(element.parameters, ElementsAre(4.0f - 0.5f * (6.0f / 14.0f + 1.0f)));
}

TEST(AdamStepTest, AmsGradRemembersALargerMoment) {
  OneElement element;
  element.largest_moment = {1.0f};
  AdamStep(element.Args());
  EXPECT_THAT(element.largest_moment, ElementsAre(12.0f));
  EXPECT_THAT(element.parameters, ElementsAre(3.125f));
}

TEST(MomentumStepTest, LeavesTheMomentsAlone) {
  std::vector<float> parameters = {4.0f};
  const std::vector<float> first_moment = {3.0f};
  const std::vector<float> second_moment = {12.0f};
  MomentumStep({.parameters = absl::MakeSpan(parameters),
                .first_moment = first_moment,
                .second_moment = second_moment,
                .learning_rate = 0.5f,
                .first_correction = 2.0f,
                .second_correction = 3.0f,
                .epsilon = 2.0f,
                .weight_decay = 0.25f});
  EXPECT_THAT(parameters, ElementsAre(3.125f));
}

}  // namespace
}  // namespace tally::scalar
