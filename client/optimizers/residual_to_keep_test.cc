#include "client/optimizers/residual_to_keep.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "base/status_macros.h"
#include "client/inheritance.h"
#include "client/optimizers/create_optimizer.h"
#include "client/optimizers/optimizer.h"
#include "client/undone_contribution.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/counting_client.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pointwise;

constexpr uint64_t kLastRound = 8;

// Two compressed chunks of 256 and 44 elements, and a dense one.
Layout TestLayout() {
  return *Layout::Create({{.name = "a", .num_elements = 100, .masked = {{3, 20}}},
                          {.name = "b", .num_elements = 50, .treatment = Treatment::kDense},
                          {.name = "c", .num_elements = 200}},
                         256);
}

std::vector<float> Gradient(size_t worker, uint64_t round) {
  std::vector<float> gradient(350);
  for (size_t i = 0; i < gradient.size(); ++i) {
    gradient[i] = static_cast<float>((i * 37 + worker * 11 + round * round * 5) % 128) / 64.0f -
                  static_cast<float>(i % 7) / 4.0f;
  }
  // Without a variance; momenta are zero there.
  gradient[30] = 0.0f;
  return gradient;
}

// Worker 0 after kLastRound.
struct Trained {
  std::unique_ptr<LoopbackGroup> group;
  std::unique_ptr<Optimizer> optimizer;
  std::vector<LoopbackEntry> log;

  // Of the compressed chunks.
  std::vector<float> Residual() const {
    std::vector<float> residual = optimizer->Residual();
    residual.resize(300);
    return residual;
  }
};

Trained Train(const std::string& method, bool misses_the_last_round) {
  Trained trained;
  trained.group = std::make_unique<LoopbackGroup>(
      TestLayout(),
      LoopbackOptions{.num_workers = 2,
                      .misses =
                          [=](size_t worker, uint64_t round, uint32_t) {
                            return misses_the_last_round && worker == 0 && round == kLastRound;
                          },
                      .keep_log = true},
      FastestHostBackend());
  EXPECT_THAT(trained.group->RunWorkers([&](size_t w) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(
        std::unique_ptr<Optimizer> optimizer,
        CreateOptimizer(method, trained.group->worker(w),
                        {.warmup_rounds = 5, .granularity = {.block_elements = 256}}));
    std::vector<float> x(350);
    for (uint64_t round = 0; round <= kLastRound; ++round) {
      TALLY_RETURN_IF_ERROR(optimizer->Step(absl::MakeSpan(x), Gradient(w, round)));
    }
    if (w == 0) trained.optimizer = std::move(optimizer);
    return absl::OkStatus();
  }),
              IsOk());
  trained.log = trained.group->TakeLog();
  return trained;
}

UndoneContribution Undone(const Trained& trained, uint32_t chunk) {
  UndoneContribution undone = {.chunk = chunk};
  SharedBuffer before;
  for (const LoopbackEntry& entry : trained.log) {
    if (entry.chunk != chunk) continue;
    undone.place = entry.place;
    undone.exchange = entry.exchange;
    undone.payload = entry.contributions[0];
    undone.mean_before = std::exchange(before, entry.result);
  }
  return undone;
}

class ResidualToKeepTest : public testing::TestWithParam<std::string> {};

// A round that a crash undid, and one that was missed, leave the same.
TEST_P(ResidualToKeepTest, WhatWasUndoneIsAsGoodAsMissed) {
  const Trained missed = Train(GetParam(), /*misses_the_last_round=*/true);
  const Trained counted = Train(GetParam(), /*misses_the_last_round=*/false);
  ASSERT_THAT(counted.Residual(), Not(Pointwise(FloatNear(1e-2f), missed.Residual())));
  const Layout layout = TestLayout();
  CountingClient client(&layout);
  client.undone = {Undone(counted, 0), Undone(counted, 1)};
  const absl::StatusOr<std::vector<float>> kept = ResidualToKeep(&client, counted.optimizer.get());
  ASSERT_THAT(kept, IsOk());
  EXPECT_THAT(*kept, Pointwise(FloatNear(1e-5f), missed.Residual()));
}

TEST_P(ResidualToKeepTest, WhatOthersHandedOverIsInIt) {
  const Trained trained = Train(GetParam(), /*misses_the_last_round=*/false);
  std::vector<float> expected = trained.Residual();
  for (size_t i = 256; i < 300; ++i) expected[i] += 2.0f;
  Buffer payload(44 * sizeof(float));
  for (size_t i = 0; i < 44; ++i) {
    constexpr float kTwo = 2.0f;
    std::memcpy(payload.data() + i * sizeof(float), &kTwo, sizeof(float));
  }
  const Layout layout = TestLayout();
  CountingClient client(&layout);
  client.inheritances.push_back(
      {.leaver = "w-2", .chunk = 1, .payload = std::make_shared<const Buffer>(std::move(payload))});
  const absl::StatusOr<std::vector<float>> kept = ResidualToKeep(&client, trained.optimizer.get());
  ASSERT_THAT(kept, IsOk());
  EXPECT_THAT(*kept, Pointwise(FloatNear(1e-5f), expected));
}

INSTANTIATE_TEST_SUITE_P(Methods, ResidualToKeepTest,
                         testing::Values("onebit_adam", "onebit_lamb", "topk_sgd"),
                         [](const auto& method) { return method.param; });

TEST(PutBackTest, WhatCannotBeToldStaysAway) {
  const Trained counted = Train("onebit_adam", /*misses_the_last_round=*/false);
  UndoneContribution undone = Undone(counted, 0);
  undone.mean_before = nullptr;
  std::vector<float> residual = counted.Residual();
  EXPECT_THAT(PutBack(undone, TestLayout(), *counted.optimizer, absl::MakeSpan(residual)), IsOk());
  undone = Undone(counted, 0);
  undone.payload = nullptr;
  EXPECT_THAT(PutBack(undone, TestLayout(), *counted.optimizer, absl::MakeSpan(residual)), IsOk());
  EXPECT_EQ(residual, counted.Residual()) << "a copy of an unknown mean, and unknown values";
}

TEST(PutBackTest, APayloadOfAnotherExchangeIsRefused) {
  const Trained counted = Train("onebit_adam", /*misses_the_last_round=*/false);
  UndoneContribution undone = Undone(counted, 0);
  undone.chunk = 1;
  std::vector<float> residual = counted.Residual();
  EXPECT_THAT(PutBack(undone, TestLayout(), *counted.optimizer, absl::MakeSpan(residual)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bytes")));
}

}  // namespace
}  // namespace tally
