#include "client/optimizers/variance_freeze.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/optimizers/adam_options.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kNever = 1000;

// One compressed element and one dense one.
Layout TestLayout() {
  return *Layout::Create({{.name = "c", .num_elements = 1},
                          {.name = "d", .num_elements = 1, .treatment = Treatment::kDense}});
}

// The first step after which `freeze` is due, with gradients given by step, for the compressed and
// the dense element.
template <typename Gradient>
uint64_t FirstDue(VarianceFreeze& freeze, Gradient gradient) {
  const Backend* const backend = FastestHostBackend();
  const Layout layout = TestLayout();
  AdamState state({.beta2 = 0.9f}, false, 2, backend);
  std::vector<float> x(2);
  for (uint64_t step = 1; step < kNever; ++step) {
    const std::vector<float> g = gradient(step);
    state.BeginStep();
    EXPECT_THAT(state.Step(0, g, absl::MakeSpan(x)), IsOk());
    if (freeze.IsDue(step, state, layout, *backend)) return step;
  }
  return kNever;
}

std::vector<float> Steady(uint64_t) { return {2.0f, 0.0f}; }
std::vector<float> Growing(uint64_t step) { return {static_cast<float>(step), 0.0f}; }

TEST(VarianceFreezeTest, FixedWarmup) {
  VarianceFreeze freeze({.warmup_steps = 7});
  EXPECT_EQ(FirstDue(freeze, Growing), 7u);
}

TEST(VarianceFreezeTest, ASteadyVarianceFreezesAtTheSecondAsk) {
  // Only with the bias correction is the variance of equal gradients the same from the first step
  // on.
  VarianceFreeze freeze({.interval_steps = 5});
  EXPECT_EQ(FirstDue(freeze, Steady), 10u);
}

TEST(VarianceFreezeTest, AsksFromTheMinimumOn) {
  VarianceFreeze freeze({.interval_steps = 5, .min_steps = 12});
  EXPECT_EQ(FirstDue(freeze, Steady), 20u);
}

TEST(VarianceFreezeTest, AMovingVarianceDoesNotFreeze) {
  // From t to 2t the norm of steps growing like t quadruples; the threshold lies between 1/4 and
  // the ratios later on.
  VarianceFreeze strict({.threshold = 1.0f, .interval_steps = 5});
  EXPECT_EQ(FirstDue(strict, Growing), kNever);
  VarianceFreeze lax({.threshold = 0.1f, .interval_steps = 5});
  EXPECT_EQ(FirstDue(lax, Growing), 10u);
}

TEST(VarianceFreezeTest, LooksAtTheCompressedPartAlone) {
  VarianceFreeze freeze({.interval_steps = 5});
  EXPECT_EQ(FirstDue(freeze,
                     [](uint64_t step) {
                       return std::vector<float>{2.0f, static_cast<float>(step * step)};
                     }),
            10u);
}

TEST(VarianceFreezeTest, WithoutGradientsItNeverFreezes) {
  VarianceFreeze freeze({.interval_steps = 5});
  EXPECT_EQ(FirstDue(freeze, [](uint64_t) { return std::vector<float>(2); }), kNever);
}

TEST(VarianceFreezeTest, GoesOnFromASavedState) {
  const Backend* const backend = FastestHostBackend();
  const Layout layout = TestLayout();
  AdamState state({.beta2 = 0.9f}, false, 2, backend);
  std::vector<float> x(2);
  state.BeginStep();
  ASSERT_THAT(state.Step(0, {2.0f, 0.0f}, absl::MakeSpan(x)), IsOk());
  VarianceFreeze freeze({.interval_steps = 1});
  EXPECT_FALSE(freeze.IsDue(1, state, layout, *backend));
  SavedStateWriter writer("test", layout, 1);
  freeze.Save(writer);
  const std::string bytes = std::move(writer).Finish();
  VarianceFreeze loaded({.interval_steps = 1});
  ASSERT_THAT(loaded.Load(*SavedState::Parse(bytes)), IsOk());
  EXPECT_TRUE(loaded.IsDue(2, state, layout, *backend));
}

TEST(VarianceFreezeTest, RefusesASavedStateOfAnotherSize) {
  SavedStateWriter writer("test", TestLayout(), 1);
  writer.AddBytes("freeze_norm", "x");
  const std::string bytes = std::move(writer).Finish();
  VarianceFreeze freeze({});
  EXPECT_THAT(freeze.Load(*SavedState::Parse(bytes)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`freeze_norm`")));
}

}  // namespace
}  // namespace tally
