// What can be said of 0/1 Adam step by step, from what was sent and what its state holds.
#include "client/optimizers/zeroone_adam.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "absl/types/variant.h"
#include "base/status_macros.h"
#include "client/saved_state.h"
#include "codecs/layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr size_t kNumCompressed = 300;  // chunks of 256 and 44 elements
constexpr size_t kNumElements = 310;
constexpr uint64_t kFrozenFrom = 5;  // steps taken before the first one with a frozen variance

Layout TestLayout() {
  return *Layout::Create({{.name = "a", .num_elements = kNumCompressed},
                          {.name = "b", .num_elements = 10, .treatment = Treatment::kDense}},
                         256);
}

// Steps, from 1: refresh, refresh, signs, refresh, signs; then exchanges at 6, 8, 12, 16 and so on.
ZeroOneAdamOptions TestOptions() {
  return {.adam = {.learning_rate = 0.01f},
          .schedule = {.variance_steps = kFrozenFrom,
                       .variance_scaler = 1,
                       .local_step_scaler = 1,
                       .max_local_steps = 4},
          .granularity = {.block_elements = 256}};
}

std::vector<float> Gradient(size_t worker, uint64_t step) {
  std::vector<float> gradient(kNumElements);
  for (size_t i = 0; i < kNumElements; ++i) {
    gradient[i] = static_cast<float>((i * 37 + worker * 11 + step * step * 5) % 128) / 64.0f -
                  static_cast<float>(i % 7) / 4.0f + 0.01f;
  }
  return gradient;
}

template <typename T>
std::vector<T> Section(const std::string& state, absl::string_view name, size_t size) {
  std::vector<T> values(size);
  const absl::StatusOr<SavedState> saved = SavedState::Parse(state);
  EXPECT_THAT(saved, IsOk());
  EXPECT_THAT(saved->Values(name, absl::MakeSpan(values)), IsOk());
  return values;
}

// Chunk 0's values: one scale, then bits.
std::vector<double> Decoded(const SharedBuffer& payload) {
  float scale;
  std::memcpy(&scale, payload->data(), sizeof(scale));
  std::vector<double> values;
  for (size_t i = 0; i < 256; ++i) {
    const bool bit = (payload->data()[sizeof(scale) + i / 8] >> (i % 8)) & 1;
    values.push_back(bit ? scale : -scale);
  }
  return values;
}

// One worker, step by step.
class ZeroOneAdamTest : public testing::Test {
 protected:
  void Begin(const ZeroOneAdamOptions& options, LoopbackOptions group = {}) {
    group.keep_log = true;
    group_ = std::make_unique<LoopbackGroup>(TestLayout(), std::move(group), FastestHostBackend());
    absl::StatusOr<std::unique_ptr<Optimizer>> optimizer =
        CreateZeroOneAdam(group_->worker(0), options);
    ASSERT_THAT(optimizer, IsOk());
    optimizer_ = *std::move(optimizer);
    x_.assign(kNumElements, 0.5f);
  }
  void Step() {
    ++step_;
    ASSERT_THAT(optimizer_->Step(absl::MakeSpan(x_), Gradient(0, step_)), IsOk());
  }
  void StepTo(uint64_t step) {
    while (step_ < step) Step();
  }
  // Chunk 0's entries so far.
  std::vector<LoopbackEntry> Log() {
    std::vector<LoopbackEntry> log = group_->TakeLog();
    log.erase(std::remove_if(log.begin(), log.end(), [](const auto& e) { return e.chunk != 0; }),
              log.end());
    return log;
  }

  std::unique_ptr<LoopbackGroup> group_;
  std::unique_ptr<Optimizer> optimizer_;
  std::vector<float> x_;
  uint64_t step_ = 0;
};

TEST_F(ZeroOneAdamTest, OpensARoundOnlyWhereItExchanges) {
  Begin(TestOptions());
  std::vector<uint64_t> rounds;
  std::vector<bool> common;
  for (int i = 0; i < 13; ++i) {
    Step();
    rounds.push_back(group_->worker(0)->next_round());
    common.push_back(optimizer_->statistics().common_parameters);
  }
  EXPECT_THAT(rounds, ElementsAre(1, 2, 3, 4, 5, 6, 6, 7, 7, 7, 7, 8, 8));
  EXPECT_THAT(common, ElementsAre(true, true, true, true, true, true, false, true, false, false,
                                  false, true, false));
  std::string kinds;
  for (const LoopbackEntry& entry : Log()) {
    kinds += absl::holds_alternative<SignExchange>(entry.exchange.kind) ? 's' : 'd';
  }
  EXPECT_EQ(kinds, "ddsdssss");
}

TEST_F(ZeroOneAdamTest, TellsItsPhases) {
  Begin(TestOptions());
  EXPECT_FALSE(optimizer_->statistics().compressing);
  StepTo(3);
  EXPECT_TRUE(optimizer_->statistics().compressing);
  EXPECT_GT(optimizer_->statistics().residual_norm, 0.0);
  EXPECT_EQ(optimizer_->statistics().reset_residual_norm, 0.0);
}

TEST_F(ZeroOneAdamTest, ForgetsTheGradientsResidualOnBothSidesAtTheFreeze) {
  Begin(TestOptions());
  StepTo(kFrozenFrom);
  const double residual = optimizer_->statistics().residual_norm;
  EXPECT_GT(residual, 0.0);
  StepTo(12);
  EXPECT_NEAR(optimizer_->statistics().reset_residual_norm, residual, 1e-9);
  std::vector<bool> zeroes;
  for (const LoopbackEntry& entry : Log()) {
    const auto* sign = absl::get_if<SignExchange>(&entry.exchange.kind);
    zeroes.push_back(sign != nullptr && sign->zero_residual);
  }
  EXPECT_THAT(zeroes, ElementsAre(false, false, false, false, false, true, false, false));
}

TEST_F(ZeroOneAdamTest, AsksForThatAgainIfNobodyTookPart) {
  Begin(TestOptions(), {.misses = [](size_t, uint64_t round, uint32_t) { return round == 5; }});
  StepTo(12);
  std::vector<bool> zeroes;
  for (const LoopbackEntry& entry : Log()) {
    const auto* sign = absl::get_if<SignExchange>(&entry.exchange.kind);
    zeroes.push_back(sign != nullptr && sign->zero_residual);
  }
  EXPECT_THAT(zeroes, ElementsAre(false, false, false, false, false, true, true, false));
}

// From step 9 on, after the exchange at 8: three local steps and an exchange, in fp64.
TEST_F(ZeroOneAdamTest, ExchangesTheSumOfItsStepsAndTakesTheMomentumFromIt) {
  ZeroOneAdamOptions options = TestOptions();
  options.adam.weight_decay = 0.1f;
  Begin(options);
  StepTo(8);
  const std::string before = optimizer_->SaveState();
  const std::vector<float> common = x_;
  EXPECT_EQ(Section<float>(before, "common", kNumElements), common);
  const auto v = Section<float>(before, "second_moment", kNumElements);
  const auto first = Section<float>(before, "first_moment", kNumElements);
  std::vector<double> m(first.begin(), first.end());
  const double c2 = 1 / (1 - std::pow(double{options.adam.beta2}, 3));  // three refreshes
  std::vector<double> x(common.begin(), common.end());
  std::vector<double> buffer(kNumElements);
  double rates = 0;
  double c1 = 0;
  const auto root = [&](size_t i) { return std::sqrt(v[i] * c2) + options.adam.epsilon; };
  for (uint64_t step = 9; step <= 12; ++step) {
    const float rate = 0.01f * static_cast<float>(step - 8);
    ASSERT_THAT(optimizer_->SetLearningRate(rate), IsOk());
    rates += rate;
    c1 = 1 / (1 - std::pow(double{options.adam.beta1}, static_cast<double>(step)));
    const std::vector<float> gradient = Gradient(0, step);
    for (size_t i = 0; i < kNumElements; ++i) {
      m[i] = options.adam.beta1 * m[i] + (1 - double{options.adam.beta1}) * gradient[i];
      buffer[i] += rate * c1 * m[i];
      x[i] -= rate * c1 * m[i] / root(i);
    }
    group_->TakeLog();
    Step();
    if (step == 12) break;
    for (size_t i = 0; i < kNumElements; ++i) ASSERT_NEAR(x_[i], x[i], 1e-5) << "element " << i;
  }
  // Chunk 0 by signs, what was dense by its exact value.
  std::vector<double> mean = Decoded(Log()[0].result);
  const std::string after = optimizer_->SaveState();
  const auto moment = Section<float>(after, "first_moment", kNumElements);
  mean.resize(kNumElements);
  std::copy(buffer.begin() + kNumCompressed, buffer.end(), mean.begin() + kNumCompressed);
  for (size_t i = 0; i < kNumElements; ++i) {
    if (i >= 256 && i < kNumCompressed) continue;
    ASSERT_NEAR(moment[i], mean[i] / rates / c1, 1e-5) << "element " << i;
    const double expected =
        common[i] - mean[i] / root(i) - rates * options.adam.weight_decay * common[i];
    ASSERT_NEAR(x_[i], expected, 1e-5) << "element " << i;
  }
  EXPECT_EQ(Section<float>(after, "common", kNumElements), x_);
}

TEST_F(ZeroOneAdamTest, AMissedExchangeKeepsTheWholeBufferAndGoesBackToTheCommonPoint) {
  Begin(TestOptions(), {.misses = [](size_t, uint64_t round, uint32_t) { return round == 5; }});
  StepTo(kFrozenFrom);
  const std::vector<float> common = x_;
  const std::string before = optimizer_->SaveState();
  Step();
  EXPECT_EQ(x_, common);
  EXPECT_TRUE(optimizer_->statistics().common_parameters);
  const std::string after = optimizer_->SaveState();
  const auto residual = Section<float>(after, "residual_sum", kNumCompressed);
  const auto moment = Section<float>(before, "first_moment", kNumElements);
  const std::vector<float> gradient = Gradient(0, 6);
  const double c1 = 1 / (1 - std::pow(0.9, 6));
  for (size_t i = 0; i < kNumCompressed; ++i) {
    ASSERT_NEAR(residual[i], 0.01 * c1 * (0.9 * moment[i] + 0.1 * gradient[i]), 1e-6) << i;
  }
  // Nobody exchanged it: its steps wait together with their rates.
  EXPECT_NEAR(Section<double>(after, "rates", 3)[0], 0.01, 1e-9);
  EXPECT_EQ(Section<float>(after, "buffer", kNumElements), std::vector<float>(kNumElements));
}

TEST_F(ZeroOneAdamTest, AGradientThatMissedARefreshJoinsTheNextSigns) {
  Begin(TestOptions(), {.misses = [](size_t, uint64_t round, uint32_t) { return round < 3; }});
  StepTo(3);
  const auto residual = Section<float>(optimizer_->SaveState(), "residual_sum", kNumCompressed);
  for (size_t i = 0; i < kNumCompressed; ++i) {
    ASSERT_NEAR(residual[i], Gradient(0, 1)[i] + Gradient(0, 2)[i] + Gradient(0, 3)[i], 1e-5) << i;
  }
}

TEST_F(ZeroOneAdamTest, ElementsWithoutVarianceStay) {
  Begin(TestOptions());
  for (uint64_t step = 1; step <= 16; ++step) {
    std::vector<float> gradient = Gradient(0, step);
    gradient[7] = 0.0f;
    gradient[9] = step > kFrozenFrom ? 1e6f : 0.0f;
    ASSERT_THAT(optimizer_->Step(absl::MakeSpan(x_), gradient), IsOk());
  }
  EXPECT_EQ(x_[7], 0.5f);
  EXPECT_EQ(x_[9], 0.5f);
  EXPECT_NE(x_[8], 0.5f);
}

TEST_F(ZeroOneAdamTest, ALocalStepRefusesWhatIsNotFiniteBeforeAnythingHasMoved) {
  ZeroOneAdamOptions options = TestOptions();
  options.adam.non_finite = NonFinitePolicy::kStop;
  Begin(options);
  StepTo(8);
  const std::vector<float> x = x_;
  const std::string state = optimizer_->SaveState();
  std::vector<float> gradient = Gradient(0, 9);
  gradient[305] = kNan;
  EXPECT_THAT(optimizer_->Step(absl::MakeSpan(x_), gradient),
              StatusIs(absl::StatusCode::kOutOfRange,
                       AllOf(HasSubstr("chunk 2"), HasSubstr("`gradients[305]` = nan"))));
  EXPECT_EQ(x_, x);
  EXPECT_EQ(optimizer_->SaveState(), state);
  StepTo(12);
}

TEST_F(ZeroOneAdamTest, ALocalStepLeavesOutChunksThatAreNotFinite) {
  Begin(TestOptions());
  StepTo(8);
  const std::vector<float> x = x_;
  std::vector<float> gradient = Gradient(0, 9);
  gradient[260] = kNan;
  ASSERT_THAT(optimizer_->Step(absl::MakeSpan(x_), gradient), IsOk());
  EXPECT_EQ(optimizer_->statistics().abstained_chunks, 1u);
  for (size_t i = 0; i < kNumElements; ++i) {
    ASSERT_EQ(x_[i] == x[i], i >= 256 && i < kNumCompressed) << i;
  }
}

TEST_F(ZeroOneAdamTest, AFailureStaysThroughStepsWithoutARound) {
  Begin(TestOptions());
  StepTo(7);
  group_->Stop(absl::UnavailableError("gone"));
  const auto gone = StatusIs(absl::StatusCode::kUnavailable, "gone");
  EXPECT_THAT(optimizer_->Step(absl::MakeSpan(x_), Gradient(0, 8)), gone);
  EXPECT_THAT(optimizer_->Step(absl::MakeSpan(x_), Gradient(0, 9)), gone);
  EXPECT_EQ(optimizer_->SaveState(), "");
}

TEST(ZeroOneAdamRunTest, WorkersPartBetweenExchangesAndMeetAtThem) {
  constexpr uint64_t kSteps = 16;
  LoopbackGroup group(TestLayout(), {.num_workers = 2}, FastestHostBackend());
  std::vector<std::vector<std::vector<float>>> x(2);  // by worker and step
  std::vector<bool> common;
  ASSERT_THAT(group.RunWorkers([&](size_t worker) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer,
                           CreateZeroOneAdam(group.worker(worker), TestOptions()));
    std::vector<float> parameters(kNumElements, 0.5f);
    for (uint64_t step = 1; step <= kSteps; ++step) {
      TALLY_RETURN_IF_ERROR(optimizer->Step(absl::MakeSpan(parameters), Gradient(worker, step)));
      x[worker].push_back(parameters);
      if (worker == 0) common.push_back(optimizer->statistics().common_parameters);
    }
    return absl::OkStatus();
  }),
              IsOk());
  for (uint64_t step = 0; step < kSteps; ++step) {
    EXPECT_EQ(x[0][step] == x[1][step], common[step]) << "step " << step + 1;
  }
}

TEST(ZeroOneAdamRunTest, RefusesBadOptions) {
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  const std::pair<std::string, void (*)(ZeroOneAdamOptions&)> rows[] = {
      {"`epsilon`", [](ZeroOneAdamOptions& o) { o.adam.epsilon = -1.0f; }},
      {"`variance_steps`", [](ZeroOneAdamOptions& o) { o.schedule.variance_steps = 0; }},
      {"block_elements", [](ZeroOneAdamOptions& o) { o.granularity.block_elements = 100; }},
      {"scale_rule", [](ZeroOneAdamOptions& o) { o.scale_rule = static_cast<ScaleRule>(9); }},
      {"data_type", [](ZeroOneAdamOptions& o) { o.dense_dtype = static_cast<DType>(9); }},
  };
  for (const auto& [field, spoil] : rows) {
    SCOPED_TRACE(field);
    ZeroOneAdamOptions options = TestOptions();
    spoil(options);
    EXPECT_THAT(CreateZeroOneAdam(group.worker(0), options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field)));
  }
}

TEST(ZeroOneAdamRunTest, TakesAStateOverInMidIntervalAndNoDamagedOne) {
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  const auto optimizer = CreateZeroOneAdam(group.worker(0), TestOptions());
  ASSERT_THAT(optimizer, IsOk());
  std::vector<float> x(kNumElements);
  for (uint64_t step = 1; step <= 7; ++step) {
    ASSERT_THAT((*optimizer)->Step(absl::MakeSpan(x), Gradient(0, step)), IsOk());
  }
  const std::string state = (*optimizer)->SaveState();
  LoopbackGroup elsewhere(TestLayout(), {}, FastestHostBackend());
  const auto stranger = CreateZeroOneAdam(elsewhere.worker(0), TestOptions());
  ASSERT_THAT(stranger, IsOk());
  const std::string before = (*stranger)->SaveState();
  std::string damaged = state;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  EXPECT_THAT((*stranger)->LoadState(damaged), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ((*stranger)->SaveState(), before);
  ASSERT_THAT((*stranger)->LoadState(state), IsOk());
  EXPECT_FALSE((*stranger)->statistics().common_parameters);
  EXPECT_EQ((*stranger)->SaveState(), state);
}

}  // namespace
}  // namespace tally
