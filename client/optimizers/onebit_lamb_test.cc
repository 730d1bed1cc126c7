// What can be said of 1-bit LAMB step by step, from what was sent and what its state holds.
#include "client/optimizers/onebit_lamb.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
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

using ::testing::DoubleNear;
using ::testing::HasSubstr;

constexpr uint64_t kWarmupRounds = 3;
// a and c are of one chunk and one scale; b is dense; then a's gradients are those of c times 8.
constexpr size_t kA = 100;
constexpr size_t kC = 120;
constexpr size_t kB = 30;
constexpr size_t kNumElements = kA + kC + kB;

Layout TestLayout(uint32_t chunk_elements = 256) {
  return *Layout::Create({{.name = "a", .num_elements = kA, .masked = {{5, 9}}},
                          {.name = "b", .num_elements = kB, .treatment = Treatment::kDense},
                          {.name = "c", .num_elements = kC}},
                         chunk_elements);
}

OneBitLambOptions TestOptions() {
  return {.onebit = {.adam = {.learning_rate = 0.02f, .weight_decay = 0.01f},
                     .warmup_rounds = kWarmupRounds,
                     .granularity = {.block_elements = 256}}};
}

std::vector<float> Gradient(size_t worker, uint64_t round) {
  std::vector<float> gradient(kNumElements);
  for (size_t i = 0; i < kNumElements; ++i) {
    gradient[i] = static_cast<float>((i * 37 + worker * 11 + round * round * 5) % 128) / 64.0f -
                  static_cast<float>(i % 7) / 4.0f;
    if (i < kA) gradient[i] *= 8.0f;
    if (i >= 5 && i < 9) gradient[i] = 0.0f;
  }
  return gradient;
}

std::vector<float> Start() {
  std::vector<float> x(kNumElements);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 11) / 8.0f - 0.5f;
  return x;
}

template <typename T>
std::vector<T> Section(const std::string& state, absl::string_view name, size_t size) {
  std::vector<T> values(size);
  const absl::StatusOr<SavedState> saved = SavedState::Parse(state);
  EXPECT_THAT(saved, IsOk());
  EXPECT_THAT(saved->Values(name, absl::MakeSpan(values)), IsOk());
  return values;
}

// The scaled momentum that a result of chunk 0 stands for: one scale, then bits.
std::vector<double> Decoded(const SharedBuffer& payload) {
  float scale;
  std::memcpy(&scale, payload->data(), sizeof(scale));
  std::vector<double> values;
  for (size_t i = 0; i < kA + kC; ++i) {
    const bool bit = (payload->data()[sizeof(scale) + i / 8] >> (i % 8)) & 1;
    values.push_back(bit ? scale : -scale);
  }
  return values;
}

// One worker, played on through the warm-up and one compressed round at a time.
class OneBitLambTest : public testing::Test {
 protected:
  OneBitLambTest() { EXPECT_THAT(optimizer_, IsOk()); }

  void Step(const std::vector<float>& gradient) {
    ASSERT_THAT((*optimizer_)->Step(absl::MakeSpan(x_), gradient), IsOk());
  }
  void WarmUp() {
    for (uint64_t round = 0; round < kWarmupRounds; ++round) Step(Gradient(0, round));
  }

  LoopbackGroup group_{TestLayout(), {.keep_log = true}, FastestHostBackend()};
  absl::StatusOr<std::unique_ptr<Optimizer>> optimizer_ =
      CreateOneBitLamb(group_.worker(0), TestOptions());
  std::vector<float> x_ = Start();
};

TEST_F(OneBitLambTest, CompressesAfterTheWarmupButNeverDenseTensors) {
  WarmUp();
  EXPECT_TRUE((*optimizer_)->statistics().compressing);
  for (uint64_t round = kWarmupRounds; round < 6; ++round) Step(Gradient(0, round));
  for (const LoopbackEntry& entry : group_.TakeLog()) {
    EXPECT_EQ(absl::holds_alternative<SignExchange>(entry.exchange.kind),
              entry.place.round >= kWarmupRounds && entry.chunk == 0);
  }
  EXPECT_GT((*optimizer_)->statistics().residual_norm, 0.0);
}

TEST_F(OneBitLambTest, BringsTheMomentaOfAllTensorsToOneSize) {
  WarmUp();
  const std::string state = (*optimizer_)->SaveState();
  const auto moment = Section<float>(state, "first_moment", kNumElements);
  const auto scales = Section<float>(state, "momentum_scales", 3);
  double squares[2] = {0.0, 0.0};
  for (size_t i = 0; i < kA + kC; ++i) squares[i < kA ? 0 : 1] += double{moment[i]} * moment[i];
  const double sizes[2] = {std::sqrt(squares[0] / (kA - 4)), std::sqrt(squares[1] / kC)};
  EXPECT_GT(sizes[0], 4.0 * sizes[1]);
  EXPECT_NEAR(scales[0] * sizes[0], (sizes[0] + sizes[1]) / 2, 1e-6 * sizes[0]);
  EXPECT_NEAR(scales[1] * sizes[1], (sizes[0] + sizes[1]) / 2, 1e-6 * sizes[0]);
  EXPECT_EQ(scales[2], 1.0f);
}

// The whole step after the freeze, in fp64, from the state before it and the result.
TEST_F(OneBitLambTest, AdaptsTheFrozenRateOfEachTensor) {
  WarmUp();
  const AdamOptions adam = TestOptions().onebit.adam;
  // Steps go on until the factor has left 1, both ways.
  for (uint64_t round = kWarmupRounds; round < kWarmupRounds + 12; ++round) {
    SCOPED_TRACE(round);
    const std::string before = (*optimizer_)->SaveState();
    const std::vector<float> x = x_;
    group_.TakeLog();
    Step(Gradient(0, round));
    const std::vector<LoopbackEntry> log = group_.TakeLog();
    const std::vector<double> mean = Decoded(log[0].result);
    const auto m = Section<float>(before, "first_moment", kNumElements);
    const auto v = Section<float>(before, "second_moment", kNumElements);
    const auto fresh = Section<float>(before, "fresh_second_moment", kA + kC);
    const auto scales = Section<float>(before, "momentum_scales", 3);
    const auto rates = Section<double>(before, "layer_rates", 9);
    const double t = static_cast<double>(round) + 1;
    const double c1 = 1 / (1 - std::pow(double{adam.beta1}, t));
    const double fresh_c2 = 1 / (1 - std::pow(double{adam.beta2}, t));
    const double frozen_c2 = 1 / (1 - std::pow(double{adam.beta2}, double{kWarmupRounds}));
    for (size_t layer = 0; layer < 2; ++layer) {
      const size_t begin = layer == 0 ? 0 : kA;
      const size_t end = layer == 0 ? kA : kA + kC;
      double ratio = 0;
      double direction_squares = 0;
      double update_squares = 0;
      std::vector<double> update(kNumElements);
      for (size_t i = begin; i < end; ++i) {
        if (i >= 5 && i < 9) continue;
        const double moment = mean[i] / scales[layer];
        const double gradient = (moment - adam.beta1 * m[i]) / (1 - double{adam.beta1});
        const double new_fresh =
            adam.beta2 * fresh[i] + (1 - double{adam.beta2}) * gradient * gradient;
        const double denominator = std::sqrt(v[i] * frozen_c2) + adam.epsilon;
        ratio = std::max(ratio, denominator / (std::sqrt(new_fresh * fresh_c2) + adam.epsilon));
        const double direction = moment * c1 / denominator;
        update[i] = direction + adam.weight_decay * x[i];
        direction_squares += direction * direction;
        update_squares += update[i] * update[i];
      }
      const double share = std::min(1.0, std::sqrt(direction_squares / update_squares));
      const double last = rates[3 * layer + 2];
      double factor = std::clamp(ratio * share + 1 - share, 0.5, 4.0);
      factor = std::clamp(factor, 0.9 * last, 1.1 * last);
      const double coefficient = rates[3 * layer] / rates[3 * layer + 1] * factor;
      for (size_t i = begin; i < end; ++i) {
        const double expected = x[i] - adam.learning_rate * coefficient * update[i];
        ASSERT_THAT(double{x_[i]}, DoubleNear(expected, 1e-5)) << "element " << i;
      }
    }
  }
}

TEST_F(OneBitLambTest, AnElementWhoseFirstGradientComesAfterTheFreezeStays) {
  std::vector<float> gradient;
  for (uint64_t round = 0; round < 10; ++round) {
    gradient = Gradient(0, round);
    // c's first element gets its first gradient after the freeze.
    gradient[kA] = round < kWarmupRounds ? 0.0f : 2.0f;
    Step(gradient);
  }
  // But for the decay.
  EXPECT_NEAR(x_[kA], Start()[kA], 0.01f);
  EXPECT_GT(std::fabs(x_[kA + 1] - Start()[kA + 1]), 0.01f);
}

TEST(OneBitLambRunTest, AMissedRoundKeepsTheScaledGradientAlone) {
  LoopbackGroup group(TestLayout(),
                      {.num_workers = 2,
                       .misses = [](size_t worker, uint64_t round,
                                    uint32_t) { return worker == 1 && round == kWarmupRounds; }},
                      FastestHostBackend());
  std::string state;
  ASSERT_THAT(group.RunWorkers([&](size_t worker) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer,
                           CreateOneBitLamb(group.worker(worker), TestOptions()));
    std::vector<float> x = Start();
    for (uint64_t round = 0; round <= kWarmupRounds; ++round) {
      TALLY_RETURN_IF_ERROR(optimizer->Step(absl::MakeSpan(x), Gradient(worker, round)));
    }
    if (worker == 1) state = optimizer->SaveState();
    return absl::OkStatus();
  }),
              IsOk());
  const auto residual = Section<float>(state, "residual_sum", kA + kC);
  const auto scales = Section<float>(state, "momentum_scales", 3);
  const std::vector<float> gradient = Gradient(1, kWarmupRounds);
  for (size_t i = 0; i < kA + kC; ++i) {
    EXPECT_NEAR(residual[i], scales[i < kA ? 0 : 1] * 0.1f * gradient[i], 1e-5) << i;
  }
}

TEST(OneBitLambRunTest, AGradientCarriedOverTheFreezeJoinsScaled) {
  LoopbackGroup group(
      TestLayout(),
      {.num_workers = 2,
       .misses = [](size_t worker, uint64_t round,
                    uint32_t) { return worker == 1 && round + 1 == kWarmupRounds; }},
      FastestHostBackend());
  std::string state;
  ASSERT_THAT(group.RunWorkers([&](size_t worker) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer,
                           CreateOneBitLamb(group.worker(worker), TestOptions()));
    std::vector<float> x = Start();
    for (uint64_t round = 0; round < kWarmupRounds; ++round) {
      TALLY_RETURN_IF_ERROR(optimizer->Step(absl::MakeSpan(x), Gradient(worker, round)));
    }
    if (worker == 1) state = optimizer->SaveState();
    return absl::OkStatus();
  }),
              IsOk());
  const auto residual = Section<float>(state, "residual_sum", kA + kC);
  const auto scales = Section<float>(state, "momentum_scales", 3);
  const std::vector<float> gradient = Gradient(1, kWarmupRounds - 1);
  for (size_t i = 0; i < kA + kC; ++i) {
    EXPECT_NEAR(residual[i], scales[i < kA ? 0 : 1] * 0.1f * gradient[i], 1e-5) << i;
  }
}

TEST(OneBitLambRunTest, TheCutIntoChunksChangesNoBitWhereBlocksStayTheSame) {
  const std::vector<Tensor> tensors = {{.name = "a", .num_elements = 700},
                                       {.name = "c", .num_elements = 1'500}};
  std::vector<std::vector<float>> ends;
  for (const uint32_t chunk_elements : {256u, 1'024u}) {
    LoopbackGroup group(*Layout::Create(tensors, chunk_elements), {}, FastestHostBackend());
    const auto optimizer = CreateOneBitLamb(group.worker(0), TestOptions());
    ASSERT_THAT(optimizer, IsOk());
    std::vector<float> x(2'200, 0.5f);
    for (uint64_t round = 0; round < 10; ++round) {
      std::vector<float> gradient(x.size());
      for (size_t i = 0; i < x.size(); ++i) {
        gradient[i] = x[i] + static_cast<float>((i * 37 + round * 5) % 64) / 64.0f;
      }
      ASSERT_THAT((*optimizer)->Step(absl::MakeSpan(x), gradient), IsOk());
    }
    ends.push_back(x);
  }
  EXPECT_EQ(ends[0], ends[1]);
}

TEST(OneBitLambRunTest, FreezesByItselfWhenTheVarianceIsSteady) {
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  OneBitLambOptions options = TestOptions();
  options.onebit.warmup_rounds.reset();
  options.onebit.freeze_interval = 10;
  options.onebit.freeze_threshold = 0.5f;
  const auto optimizer = CreateOneBitLamb(group.worker(0), options);
  ASSERT_THAT(optimizer, IsOk());
  std::vector<float> x = Start();
  for (uint64_t round = 0; round < 20; ++round) {
    EXPECT_FALSE((*optimizer)->statistics().compressing);
    ASSERT_THAT((*optimizer)->Step(absl::MakeSpan(x), Gradient(0, round)), IsOk());
  }
  EXPECT_TRUE((*optimizer)->statistics().compressing);
}

TEST(OneBitLambRunTest, RefusesBadOptions) {
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  const std::pair<std::string, void (*)(OneBitLambOptions&)> rows[] = {
      {"`beta2`", [](OneBitLambOptions& o) { o.onebit.adam.beta2 = 1.0f; }},
      {"`warmup_rounds`", [](OneBitLambOptions& o) { o.onebit.warmup_rounds = 0; }},
      {"block_elements", [](OneBitLambOptions& o) { o.onebit.granularity.block_elements = 100; }},
      {"`coefficient_beta`", [](OneBitLambOptions& o) { o.rates.coefficient_beta = -0.1; }},
  };
  for (const auto& [field, spoil] : rows) {
    SCOPED_TRACE(field);
    OneBitLambOptions options = TestOptions();
    spoil(options);
    EXPECT_THAT(CreateOneBitLamb(group.worker(0), options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field)));
  }
}

TEST(OneBitLambRunTest, ALoadThatFailsChangesNothing) {
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  const auto optimizer = CreateOneBitLamb(group.worker(0), TestOptions());
  ASSERT_THAT(optimizer, IsOk());
  std::vector<float> x = Start();
  for (uint64_t round = 0; round < 6; ++round) {
    ASSERT_THAT((*optimizer)->Step(absl::MakeSpan(x), Gradient(0, round)), IsOk());
  }
  const std::string state = (*optimizer)->SaveState();
  OneBitLambOptions other = TestOptions();
  other.onebit.granularity.unit = ScaleGranularity::Unit::kTensor;
  const auto stranger = CreateOneBitLamb(group.worker(0), other);
  ASSERT_THAT(stranger, IsOk());
  const std::string before = (*stranger)->SaveState();
  EXPECT_THAT((*stranger)->LoadState(state), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ((*stranger)->SaveState(), before);
}

}  // namespace
}  // namespace tally
