#include "client/optimizers/residual_to_keep.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/buffer.h"
#include "base/status_macros.h"
#include "client/optimizers/create_optimizer.h"
#include "client/optimizers/optimizer.h"
#include "client/undone_contribution.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/sparse_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
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
  return gradient;
}

// Worker 0 after kLastRound.
struct Trained {
  std::vector<float> residual;
  float shared_share = 0;
  std::vector<LoopbackEntry> log;
};

Trained Train(const std::string& method, bool misses_the_last_round) {
  LoopbackGroup group(TestLayout(),
                      {.num_workers = 2,
                       .misses =
                           [&](size_t worker, uint64_t round, uint32_t) {
                             return misses_the_last_round && worker == 0 && round == kLastRound;
                           },
                       .keep_log = true},
                      FastestHostBackend());
  Trained trained;
  EXPECT_THAT(group.RunWorkers([&](size_t w) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(
        const std::unique_ptr<Optimizer> optimizer,
        CreateOptimizer(method, group.worker(w),
                        {.warmup_rounds = 5, .granularity = {.block_elements = 256}}));
    std::vector<float> x(350);
    for (uint64_t round = 0; round <= kLastRound; ++round) {
      TALLY_RETURN_IF_ERROR(optimizer->Step(absl::MakeSpan(x), Gradient(w, round)));
    }
    if (w != 0) return absl::OkStatus();
    trained.residual = optimizer->Residual();
    trained.shared_share = optimizer->shared_share();
    return absl::OkStatus();
  }),
              IsOk());
  trained.residual.resize(300);
  trained.log = group.TakeLog();
  return trained;
}

UndoneContribution Undone(const Trained& trained, uint32_t chunk) {
  UndoneContribution undone = {.chunk = chunk};
  for (const LoopbackEntry& entry : trained.log) {
    if (entry.chunk != chunk) continue;
    undone.mean_before = entry.place.round + 1 == kLastRound ? entry.result : undone.mean_before;
    undone.place = entry.place;
    undone.exchange = entry.exchange;
    undone.payload = entry.contributions[0];
  }
  return undone;
}

class ResidualToKeepTest : public testing::TestWithParam<std::string> {};

// A round that a crash undid, and one that was missed, leave the same.
TEST_P(ResidualToKeepTest, WhatWasUndoneIsAsGoodAsMissed) {
  const Trained missed = Train(GetParam(), /*misses_the_last_round=*/true);
  Trained counted = Train(GetParam(), /*misses_the_last_round=*/false);
  const absl::Span<float> residual = absl::MakeSpan(counted.residual);
  ASSERT_THAT(counted.residual, testing::Not(Pointwise(FloatNear(1e-2f), missed.residual)));
  for (const uint32_t chunk : {0u, 1u}) {
    EXPECT_THAT(PutBack(Undone(counted, chunk), TestLayout(), counted.shared_share, residual),
                IsOk());
  }
  EXPECT_THAT(counted.residual, Pointwise(FloatNear(1e-5f), missed.residual));
}

INSTANTIATE_TEST_SUITE_P(Methods, ResidualToKeepTest,
                         testing::Values("onebit_adam", "onebit_lamb", "topk_sgd"),
                         [](const auto& method) { return method.param; });

TEST(PutBackTest, WhatCannotBeToldStaysAway) {
  const Trained counted = Train("onebit_adam", /*misses_the_last_round=*/false);
  UndoneContribution undone = Undone(counted, 0);
  undone.mean_before = nullptr;
  std::vector<float> residual = counted.residual;
  EXPECT_THAT(PutBack(undone, TestLayout(), counted.shared_share, absl::MakeSpan(residual)),
              IsOk());
  undone.payload = nullptr;
  EXPECT_THAT(PutBack(undone, TestLayout(), 0.0f, absl::MakeSpan(residual)), IsOk());
  EXPECT_EQ(residual, counted.residual) << "a copy of an unknown mean, and unknown values";
}

TEST(PutBackTest, SparseValuesComeBackWhereTheyWere) {
  std::vector<float> residual(300, 1.0f);
  const UndoneContribution undone = {
      .chunk = 1,
      .exchange = {SparseExchange{.max_values = 4}},
      .payload = std::make_shared<const Buffer>(EncodeSparse({{0, 43}}, {{2.0f, -3.0f}}, 44)),
  };
  EXPECT_THAT(PutBack(undone, TestLayout(), 0.0f, absl::MakeSpan(residual)), IsOk());
  EXPECT_THAT(absl::MakeConstSpan(residual).subspan(255, 3), ElementsAre(1, 3, 1));
  EXPECT_EQ(residual.back(), -2.0f);
}

TEST(PutBackTest, APayloadOfAnotherExchangeIsRefused) {
  Trained counted = Train("onebit_adam", /*misses_the_last_round=*/false);
  UndoneContribution undone = Undone(counted, 0);
  undone.chunk = 1;
  EXPECT_THAT(PutBack(undone, TestLayout(), 0.0f, absl::MakeSpan(counted.residual)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bytes")));
}

}  // namespace
}  // namespace tally
