// What each method reports of a round that can be computed by hand.
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "client/optimizers/create_optimizer.h"
#include "client/optimizers/round_quality.h"
#include "codecs/layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::DoubleNear;

// fp32 squares of powers and roots.
constexpr double kTolerance = 1e-6;

// Four elements: norm (2) squared 26.25, norm (1) 8.5.
const std::vector<float> kGradient = {3.0f, -1.0f, 4.0f, 0.5f};
constexpr double kSquares = 26.25;
// ||x||_1 / (sqrt(d) ||x||_2): what scaled signs keep of a cosine.
const double kSignCosine = 8.5 / (2.0 * std::sqrt(kSquares));

OptimizerOptions Options() {
  OptimizerOptions options;
  options.adam.learning_rate = 0.5f;
  options.adam.beta1 = 0.0f;
  options.adam.beta2 = 0.0f;
  options.adam.epsilon = 0.0f;
  options.adam.bias_correction = false;
  options.adam.quality_interval = 1;
  options.momentum = 0.0f;
  options.share = 0.5;
  options.sketch = {.num_updated = 1, .columns = 64};
  return options;
}

Layout LayoutFor(const std::string& method) {
  absl::optional<DealingOptions> dealing;
  if (Sketches(method)) dealing = DealingOptions{.num_groups = 1, .seed = 5};
  return *Layout::Create({{.name = "t", .num_elements = 4}}, kDefaultChunkElements, dealing);
}

using Qualities = std::vector<absl::optional<RoundQuality>>;  // by worker

struct Script {
  std::vector<std::vector<float>> gradients;  // by worker; the same in every step
  uint64_t steps = 1;
  std::function<bool(size_t worker, uint64_t round, uint32_t chunk)> misses = nullptr;
};

// What every worker reports after its last step.
Qualities Play(const std::string& method, const OptimizerOptions& options, const Script& script) {
  LoopbackGroup group(LayoutFor(method),
                      {.num_workers = script.gradients.size(), .misses = script.misses, .seed = 9},
                      FastestHostBackend());
  Qualities qualities(script.gradients.size());
  EXPECT_THAT(group.RunWorkers([&](size_t worker) -> absl::Status {
    const auto optimizer = CreateOptimizer(method, group.worker(worker), options);
    if (!optimizer.ok()) return optimizer.status();
    std::vector<float> x(4, 1.0f);
    for (uint64_t step = 0; step < script.steps; ++step) {
      const absl::Status status = (*optimizer)->Step(absl::MakeSpan(x), script.gradients[worker]);
      if (!status.ok()) return status;
    }
    qualities[worker] = (*optimizer)->quality();
    return absl::OkStatus();
  }),
              IsOk());
  return qualities;
}

// Two workers with the same gradient: what one of them reports.
RoundQuality PlayTwins(const std::string& method, const OptimizerOptions& options,
                       uint64_t steps = 1) {
  const Qualities qualities =
      Play(method, options, {.gradients = {kGradient, kGradient}, .steps = steps});
  EXPECT_TRUE(qualities[0].has_value());
  if (!qualities[0].has_value()) return {};
  EXPECT_EQ(qualities[0]->step, steps);
  EXPECT_EQ(qualities[0]->num_elements, 4u);
  return *qualities[0];
}

TEST(MethodQualityTest, TopkSgdKeepsWhatItSends) {
  // 3 and 4 travel.
  const RoundQuality quality = PlayTwins("topk_sgd", Options());
  EXPECT_THAT(quality.input_norm, DoubleNear(std::sqrt(kSquares), kTolerance));
  EXPECT_THAT(quality.update_norm, DoubleNear(5.0, kTolerance));
  EXPECT_THAT(quality.cosine, DoubleNear(5.0 / std::sqrt(kSquares), kTolerance));
  EXPECT_THAT(quality.relative_error, DoubleNear(std::sqrt(1.25 / kSquares), kTolerance));
  EXPECT_THAT(quality.residual_norm, DoubleNear(std::sqrt(1.25), kTolerance));
  EXPECT_FALSE(quality.sketch.has_value());
}

TEST(MethodQualityTest, TheInputHoldsTheResidual) {
  // a = g + (0, -1, 0, 0.5): 3, -2, 4, 1.
  const RoundQuality quality = PlayTwins("topk_sgd", Options(), /*steps=*/2);
  EXPECT_THAT(quality.input_norm, DoubleNear(std::sqrt(30.0), kTolerance));
  EXPECT_THAT(quality.residual_norm, DoubleNear(std::sqrt(5.0), kTolerance));
}

TEST(MethodQualityTest, SignSgdIsJudgedInTheBestScale) {
  const RoundQuality quality = PlayTwins("sign_sgd", Options());
  EXPECT_THAT(quality.cosine, DoubleNear(kSignCosine, kTolerance));
  EXPECT_THAT(quality.relative_error,
              DoubleNear(std::sqrt(1 - kSignCosine * kSignCosine), kTolerance));
  // The mean magnitude, four times.
  EXPECT_THAT(quality.update_norm, DoubleNear(2 * 8.5 / 4, kTolerance));
  EXPECT_EQ(quality.residual_norm, 0.0);
}

TEST(MethodQualityTest, OneBitAdamComparesTheSharedMomentumWithItsOwn) {
  // Without beta1 the momentum is the gradient; no residual is left from the warm-up.
  OptimizerOptions options = Options();
  options.warmup_rounds = 1;
  const RoundQuality norms = PlayTwins("onebit_adam", options, /*steps=*/2);
  EXPECT_THAT(norms.input_norm, DoubleNear(std::sqrt(kSquares), kTolerance));
  EXPECT_THAT(norms.update_norm, DoubleNear(std::sqrt(kSquares), kTolerance));
  EXPECT_THAT(norms.cosine, DoubleNear(kSignCosine, kTolerance));
  EXPECT_THAT(norms.relative_error, DoubleNear(std::sqrt(2 - 2 * kSignCosine), kTolerance));
  // All of the error stays here: the aggregator's input is already signs of one scale.
  EXPECT_THAT(norms.residual_norm,
              DoubleNear(norms.relative_error * norms.input_norm, 10 * kTolerance));
  options.scale_rule = ScaleRule::kMeanMagnitude;
  const RoundQuality means = PlayTwins("onebit_adam", options, /*steps=*/2);
  EXPECT_THAT(means.cosine, DoubleNear(kSignCosine, kTolerance));
  EXPECT_THAT(means.relative_error,
              DoubleNear(std::sqrt(1 - kSignCosine * kSignCosine), kTolerance));
}

TEST(MethodQualityTest, OneBitLambIsMeasuredInItsScales) {
  OptimizerOptions options = Options();
  options.warmup_rounds = 1;
  const RoundQuality quality = PlayTwins("onebit_lamb", options, /*steps=*/2);
  EXPECT_GT(quality.input_norm, 0.0);
  EXPECT_THAT(quality.cosine, DoubleNear(kSignCosine, kTolerance));
  EXPECT_THAT(quality.relative_error, DoubleNear(std::sqrt(2 - 2 * kSignCosine), kTolerance));
}

TEST(MethodQualityTest, ZeroOneAdamIsMeasuredWhereItExchanges) {
  // Steps 1 and 2 refresh the variance, 3 exchanges signs of gradients; then it is frozen, and 4
  // exchanges what was done alone.
  OptimizerOptions options = Options();
  options.schedule = {
      .variance_steps = 3, .variance_scaler = 1, .local_step_scaler = 1, .max_local_steps = 2};
  const auto report = [&](uint64_t steps) {
    return Play("zeroone_adam", options, {.gradients = {kGradient, kGradient}, .steps = steps})[0];
  };
  EXPECT_FALSE(report(2).has_value());
  ASSERT_TRUE(report(3).has_value());
  EXPECT_THAT(report(3)->input_norm, DoubleNear(std::sqrt(kSquares), kTolerance));
  EXPECT_THAT(report(3)->cosine, DoubleNear(kSignCosine, kTolerance));
  ASSERT_TRUE(report(4).has_value());
  EXPECT_THAT(report(4)->input_norm, DoubleNear(0.5 * std::sqrt(kSquares), kTolerance));
  EXPECT_THAT(report(4)->cosine, DoubleNear(kSignCosine, kTolerance));
}

TEST(MethodQualityTest, AMissLeavesTheMomentumInTheInput) {
  OptimizerOptions options = Options();
  options.adam.beta1 = 0.5f;
  options.warmup_rounds = 1;
  const auto misses = [](size_t worker, uint64_t round, uint32_t) {
    return worker == 1 && round == 1;
  };
  const Qualities qualities = Play(
      "onebit_adam", options, {.gradients = {kGradient, kGradient}, .steps = 2, .misses = misses});
  ASSERT_TRUE(qualities[0].has_value() && qualities[1].has_value());
  // m = g / 2 after the warm-up, then 3 g / 4, for both.
  EXPECT_THAT(qualities[0]->input_norm, DoubleNear(0.75 * std::sqrt(kSquares), kTolerance));
  EXPECT_EQ(qualities[1]->input_norm, qualities[0]->input_norm);
  EXPECT_EQ(qualities[1]->cosine, qualities[0]->cosine);
}

TEST(MethodQualityTest, CdAdamComparesTheSharedGradientWithItsOwn) {
  const RoundQuality signs = PlayTwins("cd_adam", Options());
  EXPECT_THAT(signs.cosine, DoubleNear(kSignCosine, kTolerance));
  EXPECT_THAT(signs.relative_error,
              DoubleNear(std::sqrt(1 - kSignCosine * kSignCosine), kTolerance));
  EXPECT_THAT(signs.residual_norm, DoubleNear(std::sqrt(kSquares), kTolerance));
  OptimizerOptions options = Options();
  options.compressor = CdAdamCompressor::kTopk;
  const RoundQuality topk = PlayTwins("cd_adam", options);
  EXPECT_THAT(topk.cosine, DoubleNear(5.0 / std::sqrt(kSquares), kTolerance));
  // The second round sends the rest.
  const RoundQuality tracked = PlayTwins("cd_adam", options, /*steps=*/2);
  EXPECT_EQ(tracked.cosine, 1.0);
  EXPECT_EQ(tracked.relative_error, 0.0);
}

TEST(MethodQualityTest, BirderLosesNothingWhileEveryGradientHadOneSign) {
  const RoundQuality quality = PlayTwins("birder", Options(), /*steps=*/3);
  EXPECT_EQ(quality.input_norm, 2.0);
  EXPECT_EQ(quality.cosine, 1.0);
  EXPECT_EQ(quality.relative_error, 0.0);
}

TEST(MethodQualityTest, BirdersCountsOfATieAreNoUpdate) {
  OptimizerOptions options = Options();
  options.vote_counts = true;
  const Qualities qualities =
      Play("birder", options, {.gradients = {kGradient, {-3.0f, 1.0f, -4.0f, -0.5f}}});
  for (const auto& quality : qualities) {
    ASSERT_TRUE(quality.has_value());
    EXPECT_EQ(quality->input_norm, 2.0);
    EXPECT_EQ(quality->update_norm, 0.0);
    EXPECT_EQ(quality->cosine, 0.0);
    EXPECT_EQ(quality->relative_error, 1.0);
  }
}

TEST(MethodQualityTest, SketchedSgdSaysWhatItsSketchFound) {
  // Of four candidates 4 is chosen.
  const RoundQuality quality = PlayTwins("sketched_sgd", Options());
  EXPECT_THAT(quality.input_norm, DoubleNear(std::sqrt(kSquares), kTolerance));
  EXPECT_THAT(quality.update_norm, DoubleNear(4.0, kTolerance));
  EXPECT_THAT(quality.cosine, DoubleNear(4.0 / std::sqrt(kSquares), kTolerance));
  EXPECT_THAT(quality.relative_error, DoubleNear(std::sqrt(10.25 / kSquares), kTolerance));
  EXPECT_THAT(quality.residual_norm, DoubleNear(std::sqrt(10.25), kTolerance));
  ASSERT_TRUE(quality.sketch.has_value());
  EXPECT_THAT(quality.sketch->energy_share, DoubleNear(16.0 / kSquares, kTolerance));
  EXPECT_EQ(quality.sketch->num_candidates, 4u);
  EXPECT_EQ(quality.sketch->num_chosen, 1u);
  EXPECT_THAT(quality.sketch->error_bound, DoubleNear(std::sqrt(kSquares / 64), kTolerance));
  EXPECT_EQ(quality.sketch->smallest_chosen, 4.0);
}

TEST(MethodQualityTest, SketchedAmsgradIsMeasuredInStepsOfTheParameters) {
  // Weights 1 / |g|: every element would move by the learning rate.
  const RoundQuality quality = PlayTwins("sketched_amsgrad", Options(), /*steps=*/2);
  EXPECT_THAT(quality.input_norm, DoubleNear(1.0, kTolerance));
  EXPECT_THAT(quality.update_norm, DoubleNear(0.5, kTolerance));
  EXPECT_THAT(quality.cosine, DoubleNear(0.5, kTolerance));
  EXPECT_THAT(quality.relative_error, DoubleNear(std::sqrt(0.75), kTolerance));
  ASSERT_TRUE(quality.sketch.has_value());
  EXPECT_THAT(quality.sketch->energy_share, DoubleNear(0.25, kTolerance));
  EXPECT_THAT(quality.sketch->error_bound, DoubleNear(1.0 / 8.0, kTolerance));
}

TEST(MethodQualityTest, RoundsThatLoseNothingHaveNone) {
  for (const std::string method :
       {"dense_adam", "dense_amsgrad", "dense_sgd", "onebit_adam", "sketched_amsgrad"}) {
    SCOPED_TRACE(method);  // the last two: in their warm-up
    EXPECT_FALSE(Play(method, Options(), {.gradients = {kGradient}})[0].has_value());
  }
}

TEST(MethodQualityTest, DenseTensorsAreNotMeasured) {
  for (const std::string method : {"birder", "cd_adam", "sign_sgd", "topk_sgd"}) {
    SCOPED_TRACE(method);
    LoopbackGroup group(*Layout::Create({{"dense", 4, Treatment::kDense}}, kDefaultChunkElements),
                        {}, FastestHostBackend());
    const auto optimizer = CreateOptimizer(method, group.worker(0), Options());
    ASSERT_THAT(optimizer, IsOk());
    std::vector<float> x(4, 1.0f);
    ASSERT_THAT((*optimizer)->Step(absl::MakeSpan(x), kGradient), IsOk());
    EXPECT_FALSE((*optimizer)->quality().has_value());
  }
}

TEST(MethodQualityTest, WhoAbstainedPutNothingIn) {
  const std::vector<float> broken(4, std::numeric_limits<float>::quiet_NaN());
  for (const std::string method : {"birder", "cd_adam", "sign_sgd", "sketched_sgd", "topk_sgd"}) {
    SCOPED_TRACE(method);
    const Qualities qualities = Play(method, Options(), {.gradients = {kGradient, broken}});
    EXPECT_TRUE(qualities[0].has_value());
    EXPECT_FALSE(qualities[1].has_value());
  }
}

TEST(MethodQualityTest, WhoMissedTheRoundComparesWithTheOthersUpdate) {
  const Script script = {.gradients = {kGradient, {-3.0f, 1.0f, -4.0f, -0.5f}},
                         .misses = [](size_t worker, uint64_t, uint32_t) { return worker == 1; }};
  for (const std::string method : {"birder", "cd_adam", "sign_sgd", "sketched_sgd", "topk_sgd"}) {
    SCOPED_TRACE(method);
    const Qualities qualities = Play(method, Options(), script);
    ASSERT_TRUE(qualities[0].has_value() && qualities[1].has_value());
    EXPECT_GT(qualities[0]->cosine, 0.5);
    EXPECT_THAT(qualities[1]->cosine, DoubleNear(-qualities[0]->cosine, kTolerance));
    EXPECT_EQ(qualities[1]->input_norm, qualities[0]->input_norm);
  }
}

TEST(MethodQualityTest, BelongsToTheLastStepAndNoOther) {
  LoopbackGroup group(LayoutFor("topk_sgd"), {}, FastestHostBackend());
  OptimizerOptions options = Options();
  options.adam.quality_interval = 2;
  const auto optimizer = CreateOptimizer("topk_sgd", group.worker(0), options);
  ASSERT_THAT(optimizer, IsOk());
  std::vector<float> x(4, 1.0f);
  const auto step = [&] { return (*optimizer)->Step(absl::MakeSpan(x), kGradient); };
  ASSERT_THAT(step(), IsOk());
  ASSERT_TRUE((*optimizer)->quality().has_value());
  EXPECT_EQ((*optimizer)->quality()->step, 1u);
  ASSERT_THAT(step(), IsOk());
  EXPECT_FALSE((*optimizer)->quality().has_value()) << "not one of those to measure";
  ASSERT_THAT(step(), IsOk());
  EXPECT_TRUE((*optimizer)->quality().has_value());
  ASSERT_THAT((*optimizer)->LoadState((*optimizer)->SaveState()), IsOk());
  EXPECT_FALSE((*optimizer)->quality().has_value()) << "a state was loaded";
  ASSERT_THAT(step(), IsOk());
  EXPECT_TRUE((*optimizer)->quality().has_value());
  group.Stop(absl::UnavailableError("gone"));
  EXPECT_THAT(step(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_FALSE((*optimizer)->quality().has_value()) << "the step failed";
}

}  // namespace
}  // namespace tally
