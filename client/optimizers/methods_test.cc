// What every method promises, asked of all of them.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/types/optional.h"
#include "client/optimizers/create_optimizer.h"
#include "client/optimizers/round_quality.h"
#include "client/optimizers/training_state.h"
#include "client/state_scope.h"
#include "codecs/layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using testing::HasSubstr;

constexpr size_t kWorkers = 3;
constexpr uint64_t kRounds = 12;

struct MethodCase {
  std::string label;
  std::string name;
  OptimizerOptions options;
  friend void PrintTo(const MethodCase& method, std::ostream* os) { *os << method.label; }
};

OptimizerOptions SmallOptions() {
  OptimizerOptions options;
  options.adam.learning_rate = 0.01f;
  options.warmup_rounds = 3;
  options.granularity.block_elements = 256;
  options.block_elements = 256;
  options.share = 0.05;
  options.sketch = {.num_updated = 40, .columns = 256};
  // After the warm-up 0/1 Adam exchanges at steps 4 to 6, 8, 12 and so on.
  options.schedule.variance_scaler = 1;
  options.schedule.local_step_scaler = 2;
  options.schedule.max_local_steps = 4;
  return options;
}

std::vector<MethodCase> MethodCases() {
  std::vector<MethodCase> cases;
  for (const absl::string_view name : OptimizerNames()) {
    cases.push_back({std::string(name), std::string(name), SmallOptions()});
  }
  // What waits for its turn in a sketch adds up: a rate at which others converge overshoots here.
  const auto slow_down = [](MethodCase& method) {
    if (method.name == "sketched_sgd") method.options.adam.learning_rate = 1e-3f;
  };
  for (MethodCase& method : cases) slow_down(method);
  cases.push_back({"birder_with_counts", "birder", SmallOptions()});
  cases.back().options.vote_counts = true;
  cases.push_back({"birder_with_long_memory", "birder", SmallOptions()});
  cases.back().options.magnitude_beta = 0.99f;
  cases.push_back({"cd_adam_topk", "cd_adam", SmallOptions()});
  cases.back().options.compressor = CdAdamCompressor::kTopk;
  cases.push_back({"cd_adam_of_momentum", "cd_adam", SmallOptions()});
  cases.back().options.tracking = Tracking::kMomentum;
  cases.back().options.scale_rule = ScaleRule::kRootMeanSquare;
  cases.push_back({"cd_adam_without_warmup", "cd_adam", SmallOptions()});
  cases.back().options.warmup_rounds = 0;
  cases.push_back({"sketched_sgd_by_estimates", "sketched_sgd", SmallOptions()});
  cases.back().options.sketch.exact_values = false;
  slow_down(cases.back());
  cases.back().options.sketch.columns = 4096;  // estimates must be good for something
  cases.push_back({"sketched_amsgrad_in_16_bits", "sketched_amsgrad", SmallOptions()});
  cases.back().options.sketch.values_dtype = DType::kBFloat16;
  cases.push_back({"onebit_lamb_with_decay_and_one_scale", "onebit_lamb", SmallOptions()});
  cases.back().options.adam.weight_decay = 0.01f;
  cases.back().options.granularity.unit = ScaleGranularity::Unit::kModel;
  cases.push_back({"zeroone_adam_in_16_bits", "zeroone_adam", SmallOptions()});
  cases.back().options.dtype = DType::kBFloat16;
  cases.push_back({"dense_adam_in_16_bits", "dense_adam", SmallOptions()});
  cases.back().options.dtype = DType::kBFloat16;
  return cases;
}

Layout LayoutFor(const MethodCase& method) {
  absl::optional<DealingOptions> dealing;
  if (Sketches(method.name)) dealing = DealingOptions{.num_groups = 3, .seed = 5};
  absl::StatusOr<Layout> layout = Layout::Create(
      {{"weights", 1500}, {"bias", 30, Treatment::kDense}, {"more", 700}}, 1024, dealing);
  EXPECT_THAT(layout, IsOk());
  return *std::move(layout);
}

// A gradient that depends on where the parameters are, so that workers that part stay apart.
void WriteGradient(size_t worker, uint64_t round, const std::vector<float>& x,
                   std::vector<float>& gradient) {
  for (size_t i = 0; i < x.size(); ++i) {
    const auto hash = static_cast<uint32_t>((i + 1) * 2654435761u ^ (worker + 1) * 40503u ^
                                            static_cast<uint32_t>(round + 1) * 97u);
    const float noise = static_cast<float>(hash % 1024) / 1024.0f - 0.5f;
    gradient[i] = x[i] + 0.1f * noise * static_cast<float>(1 + i % 7);
  }
}

struct Training {
  std::vector<std::vector<float>> parameters;           // by worker
  std::vector<std::string> states;                      // by worker
  std::vector<absl::optional<RoundQuality>> qualities;  // by worker, of the last round
};

struct Script {
  uint64_t rounds = kRounds;
  // After this many rounds every worker goes on with a new optimizer that has loaded the old one's
  // state; 0: never.
  uint64_t resume_after = 0;
  std::function<bool(size_t worker, uint64_t round, uint32_t chunk)> misses = nullptr;
  // True: this worker's gradient is no number in this round.
  std::function<bool(size_t worker, uint64_t round)> is_broken = nullptr;
  const Backend* backend = nullptr;  // null: the fastest
  uint64_t quality_interval = 1;
};

class MethodsTest : public testing::TestWithParam<MethodCase> {
 protected:
  static Training Play(const Script& script) {
    OptimizerOptions options = GetParam().options;
    options.adam.backend = script.backend;
    options.adam.quality_interval = script.quality_interval;
    const Backend* backend = script.backend != nullptr ? script.backend : FastestHostBackend();
    LoopbackGroup group(LayoutFor(GetParam()),
                        {.num_workers = kWorkers, .misses = script.misses, .seed = 9}, backend);
    Training run;
    run.parameters.resize(kWorkers);
    run.states.resize(kWorkers);
    run.qualities.resize(kWorkers);
    const absl::Status status = group.RunWorkers([&](size_t worker) {
      return Work(script, options, group.worker(worker), worker, run.parameters[worker],
                  run.states[worker], run.qualities[worker]);
    });
    EXPECT_THAT(status, IsOk());
    return run;
  }

 private:
  static absl::Status Work(const Script& script, const OptimizerOptions& options,
                           Exchanger* exchanger, size_t worker, std::vector<float>& x,
                           std::string& state, absl::optional<RoundQuality>& quality) {
    absl::StatusOr<std::unique_ptr<Optimizer>> optimizer =
        CreateOptimizer(GetParam().name, exchanger, options);
    if (!optimizer.ok()) return optimizer.status();
    x.assign(exchanger->layout().num_elements(), 0.25f);
    std::vector<float> gradient(x.size());
    for (uint64_t round = 0; round < script.rounds; ++round) {
      WriteGradient(worker, round, x, gradient);
      if (script.is_broken && script.is_broken(worker, round)) {
        gradient[700] = std::numeric_limits<float>::quiet_NaN();
      }
      absl::Status status = (*optimizer)->Step(absl::MakeSpan(x), gradient);
      if (!status.ok()) return status;
      if (round + 1 != script.resume_after) continue;
      const std::string saved = (*optimizer)->SaveState();
      optimizer = CreateOptimizer(GetParam().name, exchanger, options);
      if (!optimizer.ok()) return optimizer.status();
      status = (*optimizer)->LoadState(saved);
      if (!status.ok()) return status;
    }
    state = (*optimizer)->SaveState();
    quality = (*optimizer)->quality();
    return absl::OkStatus();
  }
};

void ExpectReplicasAgree(const Training& run) {
  for (size_t worker = 1; worker < kWorkers; ++worker) {
    EXPECT_TRUE(run.parameters[worker] == run.parameters[0]) << "worker " << worker;
  }
}

TEST_P(MethodsTest, MovesTheSameParametersOnAllWorkers) {
  const Training run = Play({});
  ExpectReplicasAgree(run);
  size_t moved = 0;
  for (const float x : run.parameters[0]) moved += x != 0.25f ? 1 : 0;
  // A sketch moves few elements a round; everything else moves all.
  EXPECT_GT(moved, 200u);
}

TEST_P(MethodsTest, ComesCloserToTheMinimum) {
  const auto distance = [](const Training& run) {
    double sum = 0;
    for (const float x : run.parameters[0]) sum += double{x} * x;
    return sum;
  };
  EXPECT_LT(distance(Play({.rounds = 40})), distance(Play({.rounds = 1})));
}

TEST_P(MethodsTest, ResumesAsIfItHadNotStopped) {
  for (const uint64_t after : {2, 3, 7}) {  // in the warm-up, at its end, past it
    const Training straight = Play({});
    const Training resumed = Play({.resume_after = after});
    EXPECT_TRUE(resumed.parameters == straight.parameters) << "after " << after;
    EXPECT_TRUE(resumed.states == straight.states) << "after " << after;
  }
}

TEST_P(MethodsTest, StaysInStepWhenContributionsAreMissed) {
  const auto misses = [](size_t worker, uint64_t round, uint32_t chunk) {
    return (worker + round + chunk) % 4 == 0;
  };
  const Training missed = Play({.misses = misses});
  ExpectReplicasAgree(missed);
  EXPECT_FALSE(missed.parameters == Play({}).parameters);
  const Training nobody = Play({.misses = [](size_t, uint64_t, uint32_t) { return true; }});
  for (const float x : nobody.parameters[0]) ASSERT_EQ(x, 0.25f);
}

TEST_P(MethodsTest, AbstainsWithAGradientThatIsNoNumberAndGoesOn) {
  const Training run = Play({.is_broken = [](size_t worker, uint64_t round) {
    return worker == 1 && (round == 1 || round == 5);
  }});
  ExpectReplicasAgree(run);
  for (const float x : run.parameters[0]) ASSERT_TRUE(std::isfinite(x));
}

// Worker 2 is a newcomer after 8 rounds: it starts from worker 0's state, follows, then takes part.
TEST_P(MethodsTest, ANewcomerStartsFromTheOthersStateAndStaysInStep) {
  constexpr uint64_t kJoinAfter = 8;
  constexpr uint64_t kFollowed = 3;
  constexpr uint64_t kLast = 16;
  const Layout layout = LayoutFor(GetParam());
  LoopbackGroup group(layout, {.num_workers = kWorkers, .keep_log = true, .seed = 9},
                      FastestHostBackend());
  std::vector<std::vector<float>> parameters(kWorkers, std::vector<float>(2230, 0.25f));
  // Of worker 2 while it follows.
  uint64_t first_round = 0;
  uint64_t end_round = 0;
  std::string shared;
  absl::Notification is_given;
  const absl::Status status = group.RunWorkers([&](size_t worker) -> absl::Status {
    absl::StatusOr<std::unique_ptr<Optimizer>> optimizer =
        CreateOptimizer(GetParam().name, group.worker(worker), GetParam().options);
    if (!optimizer.ok()) return optimizer.status();
    std::vector<float>& x = parameters[worker];
    std::vector<float> gradient(x.size());
    for (uint64_t round = 0; round < kLast; ++round) {
      if (round == kJoinAfter && worker == 0) {
        shared = SaveTrainingState(**optimizer, layout, x, StateScope::kShared);
        EXPECT_LE(shared.size(),
                  SaveTrainingState(**optimizer, layout, x, StateScope::kWhole).size());
        is_given.Notify();
      }
      if (round == kJoinAfter && worker == 2) {
        is_given.WaitForNotification();
        optimizer = CreateOptimizer(GetParam().name, group.worker(worker), GetParam().options);
        std::fill(x.begin(), x.end(), -1.0f);
        const absl::Status loaded =
            LoadTrainingState(shared, layout, absl::MakeSpan(x), optimizer->get());
        if (!loaded.ok()) return loaded;
        EXPECT_EQ((*optimizer)->statistics().steps, kJoinAfter);
        first_round = group.worker(worker)->next_round();
      }
      if (round == kJoinAfter + kFollowed && worker == 2) {
        end_round = group.worker(worker)->next_round();
      }
      const bool follows = worker == 2 && round >= kJoinAfter && round < kJoinAfter + kFollowed;
      WriteGradient(worker, round, x, gradient);
      const absl::Status stepped = follows ? (*optimizer)->Follow(absl::MakeSpan(x))
                                           : (*optimizer)->Step(absl::MakeSpan(x), gradient);
      if (!stepped.ok()) return stepped;
      EXPECT_EQ((*optimizer)->statistics().abstained_chunks, 0u);
      if (follows) {
        EXPECT_EQ((*optimizer)->statistics().residual_norm, 0.0);
      }
    }
    return absl::OkStatus();
  });
  EXPECT_THAT(status, IsOk());
  EXPECT_TRUE(parameters[1] == parameters[0]);
  EXPECT_TRUE(parameters[2] == parameters[0]);
  for (const LoopbackEntry& entry : group.TakeLog()) {
    if (entry.place.round < first_round || entry.place.round >= end_round) continue;
    EXPECT_EQ(entry.contributions[2], nullptr) << "round " << entry.place.round;
  }
}

// Where every element of some chunk is masked there is nothing to choose, vote on or scale.
TEST_P(MethodsTest, LeavesMaskedElementsWhereTheyAre) {
  absl::optional<DealingOptions> dealing;
  if (Sketches(GetParam().name)) dealing = DealingOptions{.num_groups = 3, .seed = 5};
  const Layout layout = *Layout::Create(
      {{"masked", 128, Treatment::kCompressed, {{0, 128}}}, {"weights", 64}}, 256, dealing);
  LoopbackGroup group(layout, {.num_workers = 2, .seed = 9}, FastestHostBackend());
  OptimizerOptions options = GetParam().options;
  options.sketch.num_updated = 20;
  std::vector<std::vector<float>> parameters(2);
  EXPECT_THAT(group.RunWorkers([&](size_t worker) -> absl::Status {
    auto optimizer = CreateOptimizer(GetParam().name, group.worker(worker), options);
    if (!optimizer.ok()) return optimizer.status();
    std::vector<float>& x = parameters[worker];
    x.assign(192, 0.25f);
    std::vector<float> gradient(192, 0.0f);
    std::fill(gradient.begin() + 128, gradient.end(), 1.0f + static_cast<float>(worker));
    for (int round = 0; round < 8; ++round) {
      const absl::Status status = (*optimizer)->Step(absl::MakeSpan(x), gradient);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }),
              IsOk());
  EXPECT_TRUE(parameters[0] == parameters[1]);
  for (size_t i = 0; i < 128; ++i) ASSERT_EQ(parameters[0][i], 0.25f) << "element " << i;
  EXPECT_LT(parameters[0][130], 0.25f);
}

TEST_P(MethodsTest, GivesTheSameBitsOnEveryBackEnd) {
  const Training expected = Play({});
  for (const Backend* backend : HostBackends()) {
    const Training run = Play({.backend = backend});
    EXPECT_TRUE(run.parameters == expected.parameters) << backend->name();
    EXPECT_TRUE(run.states == expected.states) << backend->name();
    for (size_t worker = 0; worker < kWorkers; ++worker) {
      const auto& quality = run.qualities[worker];
      ASSERT_EQ(quality.has_value(), expected.qualities[worker].has_value());
      if (!quality.has_value()) continue;
      EXPECT_EQ(quality->cosine, expected.qualities[worker]->cosine) << backend->name();
      EXPECT_EQ(quality->relative_error, expected.qualities[worker]->relative_error);
    }
  }
}

TEST_P(MethodsTest, MeasuringARoundChangesNothing) {
  const auto misses = [](size_t worker, uint64_t round, uint32_t chunk) {
    return (worker + round + chunk) % 4 == 0;
  };
  const Training measured = Play({.misses = misses});
  const Training unmeasured = Play({.misses = misses, .quality_interval = 0});
  EXPECT_TRUE(measured.parameters == unmeasured.parameters);
  EXPECT_TRUE(measured.states == unmeasured.states);
  for (size_t worker = 0; worker < kWorkers; ++worker) {
    EXPECT_FALSE(unmeasured.qualities[worker].has_value());
    const auto& quality = measured.qualities[worker];
    const bool is_lossy = GetParam().name.find("dense") == std::string::npos;
    ASSERT_EQ(quality.has_value(), is_lossy);
    if (!is_lossy) continue;
    EXPECT_EQ(quality->step, kRounds);
    EXPECT_GT(quality->num_elements, 0u);
    EXPECT_GT(quality->cosine, 0.0);
    EXPECT_TRUE(std::isfinite(quality->relative_error));
  }
}

TEST_P(MethodsTest, RefusesStatesThatAreNotItsOwn) {
  LoopbackGroup group(LayoutFor(GetParam()), {.num_workers = 1}, FastestHostBackend());
  const auto optimizer = CreateOptimizer(GetParam().name, group.worker(0), GetParam().options);
  ASSERT_THAT(optimizer, IsOk());
  const std::string own = (*optimizer)->SaveState();
  EXPECT_THAT((*optimizer)->LoadState(own), IsOk());
  std::string damaged = own;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  EXPECT_THAT((*optimizer)->LoadState(damaged), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ((*optimizer)->SaveState(), own);
}

TEST_P(MethodsTest, StepsByTheLearningRateThatWasSetLast) {
  const auto moved_by = [](float learning_rate) {
    LoopbackGroup group(LayoutFor(GetParam()), {.num_workers = 1}, FastestHostBackend());
    const auto optimizer = CreateOptimizer(GetParam().name, group.worker(0), GetParam().options);
    EXPECT_THAT(optimizer, IsOk());
    EXPECT_THAT((*optimizer)->SetLearningRate(learning_rate), IsOk());
    std::vector<float> x(2230, 0.0f);
    std::vector<float> gradient(x.size(), 1.0f);
    EXPECT_THAT((*optimizer)->Step(absl::MakeSpan(x), gradient), IsOk());
    float largest = 0;
    for (const float value : x) largest = std::max(largest, std::fabs(value));
    return largest;
  };
  EXPECT_NEAR(moved_by(0.5f), 2 * moved_by(0.25f), 1e-3);
  EXPECT_GT(moved_by(0.25f), 0.1f);
}

TEST_P(MethodsTest, RefusesALearningRateThatIsNone) {
  LoopbackGroup group(LayoutFor(GetParam()), {.num_workers = 1}, FastestHostBackend());
  const auto optimizer = CreateOptimizer(GetParam().name, group.worker(0), GetParam().options);
  ASSERT_THAT(optimizer, IsOk());
  for (const float rate : {0.0f, -1.0f, std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT((*optimizer)->SetLearningRate(rate),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`learning_rate`")));
  }
}

TEST_P(MethodsTest, RefusesArgumentsOfAnotherSize) {
  LoopbackGroup group(LayoutFor(GetParam()), {.num_workers = 1}, FastestHostBackend());
  const auto optimizer = CreateOptimizer(GetParam().name, group.worker(0), GetParam().options);
  ASSERT_THAT(optimizer, IsOk());
  std::vector<float> x(2230);
  std::vector<float> gradient(2229);
  EXPECT_THAT((*optimizer)->Step(absl::MakeSpan(x), gradient),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`gradients`")));
}

INSTANTIATE_TEST_SUITE_P(Every, MethodsTest, testing::ValuesIn(MethodCases()),
                         [](const auto& instance) { return instance.param.label; });

}  // namespace
}  // namespace tally
