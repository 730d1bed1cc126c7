#include "client/optimizers/adam_state.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

const Backend* TestBackend() { return HostBackends().front(); }

Layout LayoutOfSize(uint64_t num_elements) {
  return *Layout::Create({{.name = "t", .num_elements = num_elements}});
}

// One parameter, one step after the other, as the textbook has it.
struct Scalar {
  float x = 1.0f, m = 0.0f, v = 0.0f, largest = 0.0f;
  void Step(float g, float first_correction, float second_correction, bool amsgrad) {
    m = 0.9f * m + (1.0f - 0.9f) * g;
    v = 0.999f * v + (1.0f - 0.999f) * (g * g);
    largest = std::max(largest, v);
    const float w = amsgrad ? largest : v;
    x = x -
        1e-3f * ((m * first_correction) / (std::sqrt(w * second_correction) + 1e-8f) + 0.01f * x);
  }
};

TEST(AdamStateTest, StepsAsTheTextbookHasIt) {
  for (const bool bias_correction : {false, true}) {
    for (const bool amsgrad : {false, true}) {
      SCOPED_TRACE(testing::Message() << bias_correction << amsgrad);
      AdamState state({.weight_decay = 0.01f, .bias_correction = bias_correction}, amsgrad, 2,
                      TestBackend());
      Scalar expected;
      std::vector<float> x = {1.0f, 7.0f};
      double first_power = 1.0;
      double second_power = 1.0;
      for (const float gradient : {2.0f, -1.0f, 0.5f}) {
        first_power *= 0.9f;
        second_power *= 0.999f;
        state.BeginStep();
        ASSERT_THAT(state.Step(0, {&gradient, 1}, absl::MakeSpan(x).first(1)), IsOk());
        expected.Step(
            gradient, bias_correction ? static_cast<float>(1.0 / (1.0 - first_power)) : 1.0f,
            bias_correction ? static_cast<float>(1.0 / (1.0 - second_power)) : 1.0f, amsgrad);
      }
      EXPECT_THAT(x, ElementsAreArray({expected.x, 7.0f}));
      EXPECT_EQ(state.first_moment(0, 1)[0], expected.m);
      EXPECT_EQ(state.second_moment(0, 1)[0], expected.v);
    }
  }
}

TEST(AdamStateTest, StepsWithAPayloadAsWithItsValues) {
  constexpr size_t kSize = 40'000;  // several tiles and a rest
  std::vector<float> gradient(kSize);
  for (size_t i = 0; i < kSize; ++i) gradient[i] = static_cast<float>(i % 257) / 64.0f - 1.0f;
  for (const DType dtype : {DType::kFloat32, DType::kFloat16}) {
    SCOPED_TRACE(DTypeName(dtype));
    std::vector<uint8_t> payload(kSize * ElementBytes(dtype));
    ASSERT_THAT(TestBackend()->EncodeDense(dtype, gradient, absl::MakeSpan(payload)), IsOk());
    AdamState by_value({}, false, kSize, TestBackend());
    AdamState by_payload({}, false, kSize, TestBackend());
    std::vector<float> x(kSize);
    std::vector<float> y(kSize);
    by_value.BeginStep();
    by_payload.BeginStep();
    ASSERT_THAT(by_value.Step(0, gradient, absl::MakeSpan(x)), IsOk());
    ASSERT_THAT(by_payload.StepWithPayload(0, dtype, payload, absl::MakeSpan(y)), IsOk());
    EXPECT_TRUE(x == y);
  }
}

TEST(AdamStateTest, MovesTheMomentsAsAStepDoesAndNoParameter) {
  const std::vector<float> gradient = {2.0f, -0.3f};
  AdamState stepping({}, false, 2, TestBackend());
  AdamState moving({}, false, 2, TestBackend());
  std::vector<float> x(2);
  for (int step = 0; step < 3; ++step) {
    stepping.BeginStep();
    moving.BeginStep();
    ASSERT_THAT(stepping.Step(0, gradient, absl::MakeSpan(x)), IsOk());
    ASSERT_THAT(moving.MoveMoments(0, gradient), IsOk());
  }
  EXPECT_THAT(moving.first_moment(0, 2), ElementsAreArray(stepping.first_moment(0, 2)));
  EXPECT_THAT(moving.second_moment(0, 2), ElementsAreArray(stepping.second_moment(0, 2)));
}

TEST(AdamStateTest, ADirectionIsWhatAStepGoesAgainst) {
  AdamState state({.learning_rate = 0.5f, .epsilon = 1e-3f}, false, 2, TestBackend());
  state.BeginStep();
  ASSERT_THAT(state.MoveMoments(0, {4.0f, -1.0f}), IsOk());
  std::vector<float> direction(2);
  ASSERT_THAT(state.Direction(0, 3.0f, absl::MakeSpan(direction)), IsOk());
  std::vector<float> x(2);
  ASSERT_THAT(state.StepWithFixedVariance(0, 3.0f, 1.0f, absl::MakeSpan(x)), IsOk());
  EXPECT_THAT(x, ElementsAreArray({-direction[0], -direction[1]}));
  EXPECT_GT(direction[0], 0.0f);
}

TEST(AdamStateTest, ElementsWithoutVarianceAreDropped) {
  AdamState state({}, false, 3, TestBackend());
  state.BeginStep();
  ASSERT_THAT(state.MoveMoments(0, {1.0f, 0.0f, -1e-3f}), IsOk());
  std::vector<float> values = {5.0f, 6.0f, 7.0f};
  state.DropWithoutVariance(0, absl::MakeSpan(values));
  EXPECT_THAT(values, ElementsAreArray({5.0f, 0.0f, 7.0f}));
}

// Elements are looked at in groups; those at the ends of groups, and beyond the last, are like any.
TEST(AdamStateTest, AnyElementWithoutVarianceIsDroppedAlone) {
  constexpr size_t kNumElements = 150;
  for (size_t without = 0; without < kNumElements; ++without) {
    SCOPED_TRACE(without);
    AdamState state({}, false, kNumElements, TestBackend());
    state.BeginStep();
    std::vector<float> gradient(kNumElements, -1.0f);
    gradient[without] = 0.0f;
    ASSERT_THAT(state.MoveMoments(0, gradient), IsOk());
    std::vector<float> expected(kNumElements, 5.0f);
    std::vector<float> values = expected;
    expected[without] = 0.0f;
    state.DropWithoutVariance(0, absl::MakeSpan(values));
    ASSERT_EQ(values, expected);
  }
}

TEST(AdamStateTest, CorrectionsCountTheStepsThatMovedTheMoment) {
  AdamState state({.beta1 = 0.5f, .beta2 = 0.5f}, false, 1, TestBackend());
  state.BeginStep();
  state.BeginStep(/*moves_second_moment=*/false);
  EXPECT_EQ(state.first_correction(), 1.0f / 0.75f);
  EXPECT_EQ(state.second_correction(), 2.0f);
}

TEST(AdamStateTest, KeepsTheVarianceFixedWhenAsked) {
  AdamState state({.bias_correction = false}, false, 1, TestBackend());
  const float gradient = 2.0f;
  float x = 0.0f;
  state.BeginStep();
  ASSERT_THAT(state.Step(0, {&gradient, 1}, {&x, 1}), IsOk());
  const float variance = state.second_moment(0, 1)[0];
  x = 0.0f;
  state.first_moment(0, 1)[0] = -3.0f;
  ASSERT_THAT(state.StepWithFixedVariance(0, 4.0f, {&x, 1}), IsOk());
  EXPECT_EQ(state.second_moment(0, 1)[0], variance);
  EXPECT_EQ(x, 0.0f - 1e-3f * (-3.0f / (std::sqrt(variance * 4.0f) + 1e-8f) + 0.0f * 0.0f));
}

TEST(AdamStateTest, GoesOnFromASavedState) {
  const Layout layout = LayoutOfSize(1);
  AdamState state({}, true, 1, TestBackend());
  const float gradient = 2.0f;
  float x = 0.0f;
  state.BeginStep();
  ASSERT_THAT(state.Step(0, {&gradient, 1}, {&x, 1}), IsOk());
  SavedStateWriter writer("test", layout, 1);
  state.Save(writer);
  const std::string bytes = std::move(writer).Finish();

  AdamState loaded({}, true, 1, TestBackend());
  ASSERT_THAT(loaded.Load(*SavedState::Parse(bytes)), IsOk());
  float y = x;
  state.BeginStep();
  loaded.BeginStep();
  ASSERT_THAT(state.Step(0, {&gradient, 1}, {&x, 1}), IsOk());
  ASSERT_THAT(loaded.Step(0, {&gradient, 1}, {&y, 1}), IsOk());
  EXPECT_EQ(x, y);
}

TEST(AdamStateTest, RefusesASavedStateOfAnotherSize) {
  AdamState state({}, false, 1, TestBackend());
  SavedStateWriter writer("test", LayoutOfSize(1), 1);
  state.Save(writer);
  const std::string bytes = std::move(writer).Finish();
  AdamState larger({}, false, 2, TestBackend());
  EXPECT_THAT(larger.Load(*SavedState::Parse(bytes)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`first_moment`")));
  AdamState with_maximum({}, true, 1, TestBackend());
  EXPECT_THAT(with_maximum.Load(*SavedState::Parse(bytes)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`largest_moment`")));
}

}  // namespace
}  // namespace tally
