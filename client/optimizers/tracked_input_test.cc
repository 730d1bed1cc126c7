#include "client/optimizers/tracked_input.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "client/saved_state.h"
#include "codecs/layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Backend* AnyBackend() { return FastestHostBackend(); }

std::vector<float> Written(const TrackedInput& input, const std::vector<float>& gradient) {
  std::vector<float> out(gradient.size());
  input.Write(0, gradient, absl::MakeSpan(out));
  return out;
}

TEST(TrackedInputTest, TracksTheGradientAsItIs) {
  TrackedInput input(Tracking::kGradient, 0.5f, 3, AnyBackend());
  const std::vector<float> gradient = {1, -2, 4};
  ASSERT_THAT(input.Advance(0, gradient), IsOk());
  EXPECT_THAT(Written(input, gradient), ElementsAre(1, -2, 4));
}

TEST(TrackedInputTest, TracksTheMovingAverage) {
  TrackedInput input(Tracking::kMomentum, 0.5f, 2, AnyBackend());
  const std::vector<float> gradient = {8, -8};
  ASSERT_THAT(input.Advance(0, gradient), IsOk());
  EXPECT_THAT(Written(input, gradient), ElementsAre(4, -4));
  ASSERT_THAT(input.Advance(0, gradient), IsOk());
  EXPECT_THAT(Written(input, gradient), ElementsAre(6, -6));
}

TEST(TrackedInputTest, AdvancesARangeAlone) {
  TrackedInput input(Tracking::kMomentum, 0.5f, 3, AnyBackend());
  ASSERT_THAT(input.Advance(1, std::vector<float>{8}), IsOk());
  EXPECT_THAT(Written(input, {0, 0, 0}), ElementsAre(0, 4, 0));
}

TEST(TrackedInputTest, UnitsDivideOnTheWayInAndMultiplyOnTheWayOut) {
  TrackedInput input(Tracking::kGradient, 0.5f, 3, AnyBackend());
  input.SetUnits(std::vector<float>{2, 4, 8}, std::vector<float>{0, 0, 0}, 256);
  EXPECT_THAT(Written(input, {2, 2, 2}), ElementsAre(1, 0.5, 0.25));
  std::vector<float> out(2);
  input.WithoutUnits(1, std::vector<float>{1, 1}, absl::MakeSpan(out));
  EXPECT_THAT(out, ElementsAre(4, 8));
}

TEST(TrackedInputTest, AUnitIsAtLeastASixteenthOfItsBlocksMean) {
  TrackedInput input(Tracking::kGradient, 0.5f, 6, AnyBackend());
  // Two blocks of 2 and one in which nothing ever moved.
  input.SetUnits(std::vector<float>{32, 0, 1, 1, 0, 0}, std::vector<float>(6), 2);
  EXPECT_THAT(Written(input, {32, 1, 1, 1, 5, 5}), ElementsAre(1, 1, 1, 1, 5, 5));
}

TEST(TrackedInputTest, UnitsStayInBounds) {
  TrackedInput input(Tracking::kGradient, 0.5f, 2, AnyBackend());
  const float infinity = std::numeric_limits<float>::infinity();
  input.SetUnits(std::vector<float>{infinity, 1e-30f}, std::vector<float>(2), 1);
  EXPECT_THAT(Written(input, {0x1p60f, 0x1p-60f}), ElementsAre(1, 1));
}

TEST(TrackedInputTest, MomentumGoesOnFromEverybodys) {
  TrackedInput input(Tracking::kMomentum, 0.5f, 2, AnyBackend());
  ASSERT_THAT(input.Advance(0, std::vector<float>{100, 100}), IsOk());
  input.SetUnits(std::vector<float>{2, 2}, std::vector<float>{4, 8}, 256);
  EXPECT_THAT(Written(input, {0, 0}), ElementsAre(2, 4));
  ASSERT_THAT(input.Advance(0, std::vector<float>{0, 0}), IsOk());
  EXPECT_THAT(Written(input, {0, 0}), ElementsAre(1, 2));
}

class TrackedInputStateTest : public testing::Test {
 protected:
  static TrackedInput NewInput(size_t num_elements = 2) {
    return TrackedInput(Tracking::kMomentum, 0.5f, num_elements, AnyBackend());
  }
  std::string Save(const TrackedInput& input) {
    SavedStateWriter writer("method", layout_, 1);
    input.Save(writer);
    return std::move(writer).Finish();
  }
  const Layout layout_ = *Layout::Create({{"weights", 2}});
};

TEST_F(TrackedInputStateTest, GoesOnFromASavedState) {
  TrackedInput input = NewInput();
  ASSERT_THAT(input.Advance(0, std::vector<float>{8, 16}), IsOk());
  const std::string before = Save(input);
  input.SetUnits(std::vector<float>{2, 4}, std::vector<float>{4, 8}, 256);
  const std::string after = Save(input);

  TrackedInput loaded = NewInput();
  ASSERT_THAT(loaded.Load(*SavedState::Parse(after), /*has_units=*/true), IsOk());
  EXPECT_THAT(Written(loaded, {0, 0}), ElementsAre(2, 2));
  ASSERT_THAT(loaded.Load(*SavedState::Parse(before), /*has_units=*/false), IsOk());
  EXPECT_THAT(Written(loaded, {0, 0}), ElementsAre(4, 8)) << "the units stayed";
}

TEST_F(TrackedInputStateTest, RefusesTheStateOfAnotherSizeAndStaysAsItWas) {
  TrackedInput input = NewInput();
  ASSERT_THAT(input.Advance(0, std::vector<float>{8, 16}), IsOk());
  const std::string other = Save(NewInput(3));
  EXPECT_THAT(input.Load(*SavedState::Parse(other), /*has_units=*/false),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`tracked_momentum`")));
  EXPECT_THAT(Written(input, {0, 0}), ElementsAre(4, 8));
}

TEST_F(TrackedInputStateTest, RefusesTheStateOfOtherOptions) {
  TrackedInput of_momentum = NewInput();
  TrackedInput of_gradient(Tracking::kGradient, 0.5f, 2, AnyBackend());
  const std::string without_units = Save(of_momentum);
  of_momentum.SetUnits(std::vector<float>{2, 4}, std::vector<float>{4, 8}, 256);
  const std::string with_units = Save(of_momentum);

  const auto refuses = [](const std::string& section) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(section));
  };
  EXPECT_THAT(of_gradient.Load(*SavedState::Parse(without_units), false),
              refuses("`tracked_momentum` is one too many"));
  EXPECT_THAT(of_momentum.Load(*SavedState::Parse(Save(of_gradient)), false),
              refuses("`tracked_momentum` is missing"));
  EXPECT_THAT(of_momentum.Load(*SavedState::Parse(with_units), false),
              refuses("`tracking_units` is one too many"));
  EXPECT_THAT(of_momentum.Load(*SavedState::Parse(without_units), true),
              refuses("`tracking_units` is missing"));
}

}  // namespace
}  // namespace tally
