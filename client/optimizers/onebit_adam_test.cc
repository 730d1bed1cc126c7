// What can be said of 1-bit Adam without a model of it; tests/reference judges its bits.
#include "client/optimizers/onebit_adam.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "absl/types/variant.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr size_t kNumWorkers = 2;
constexpr size_t kNumElements = 350;

// Two compressed chunks of 256 and 44 elements, and a dense one.
Layout TestLayout() {
  return *Layout::Create({{.name = "a", .num_elements = 100, .masked = {{3, 20}}},
                          {.name = "b", .num_elements = 50, .treatment = Treatment::kDense},
                          {.name = "c", .num_elements = 200}},
                         256);
}

OneBitAdamOptions TestOptions() {
  return {.warmup_rounds = 5, .granularity = {.block_elements = 256}};
}

LoopbackGroup NewGroup(LoopbackOptions options = {}) {
  return LoopbackGroup(TestLayout(), std::move(options), FastestHostBackend());
}

std::vector<float> Gradient(size_t worker, uint64_t round) {
  std::vector<float> gradient(kNumElements);
  for (size_t i = 0; i < kNumElements; ++i) {
    gradient[i] = static_cast<float>((i * 37 + worker * 11 + round * round * 5) % 128) / 64.0f -
                  static_cast<float>(i % 7) / 4.0f;
  }
  return gradient;
}

struct TrainOptions {
  OneBitAdamOptions method = TestOptions();
  uint64_t num_rounds = 20;
  bool reload = false;  // each step by a new optimizer, from the saved state of the last
};

struct Trained {
  std::vector<float> x;
  std::vector<LoopbackEntry> log;
  uint64_t first_compressed_round = 0;
};

Trained Train(const TrainOptions& options) {
  LoopbackGroup group =
      NewGroup({.num_workers = kNumWorkers,
                .misses = [](size_t w, uint64_t round,
                             uint32_t chunk) { return (w + round + chunk) % 4 == 0; },
                .keep_log = true});
  std::vector<std::vector<float>> x(kNumWorkers, std::vector<float>(kNumElements));
  EXPECT_THAT(group.RunWorkers([&](size_t w) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(auto optimizer, CreateOneBitAdam(group.worker(w), options.method));
    for (uint64_t round = 0; round < options.num_rounds; ++round) {
      TALLY_RETURN_IF_ERROR(optimizer->Step(absl::MakeSpan(x[w]), Gradient(w, round)));
      if (!options.reload) continue;
      const std::string state = optimizer->SaveState();
      TALLY_ASSIGN_OR_RETURN(optimizer, CreateOneBitAdam(group.worker(w), options.method));
      TALLY_RETURN_IF_ERROR(optimizer->LoadState(state));
    }
    EXPECT_EQ(optimizer->statistics().steps, options.num_rounds);
    return absl::OkStatus();
  }),
              IsOk());
  EXPECT_EQ(x[0], x[1]);
  Trained trained = {
      .x = x[0], .log = group.TakeLog(), .first_compressed_round = options.num_rounds};
  for (const LoopbackEntry& entry : trained.log) {
    if (!absl::holds_alternative<SignExchange>(entry.exchange.kind)) continue;
    trained.first_compressed_round = std::min(trained.first_compressed_round, entry.place.round);
  }
  return trained;
}

TEST(OneBitAdamTest, CompressesAfterTheWarmupButNeverDenseTensors) {
  const Trained trained = Train({});
  for (const LoopbackEntry& entry : trained.log) {
    SCOPED_TRACE(testing::Message() << "round " << entry.place.round << ", chunk " << entry.chunk);
    EXPECT_EQ(absl::holds_alternative<SignExchange>(entry.exchange.kind),
              entry.place.round >= 5 && entry.chunk < 2);
  }
}

TEST(OneBitAdamTest, MaskedElementsStayWhereTheyWereUnlessTheirGradientMovesThem) {
  LoopbackGroup group = NewGroup();
  const auto optimizer = *CreateOneBitAdam(group.worker(0), TestOptions());
  std::vector<float> x(kNumElements, 0.25f);
  for (uint64_t round = 0; round < 20; ++round) {
    std::vector<float> gradient = Gradient(0, round);
    std::fill(gradient.begin() + 3, gradient.begin() + 20, 0.0f);
    ASSERT_THAT(optimizer->Step(absl::MakeSpan(x), gradient), IsOk());
  }
  for (size_t i = 0; i < kNumElements; ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(x[i] == 0.25f, i >= 3 && i < 20);
  }
}

// One bit cannot say 0, and by epsilon alone a step would be a hundred thousand scales long.
TEST(OneBitAdamTest, AnElementWhoseFirstGradientComesAfterTheFreezeStays) {
  constexpr size_t kLate = 30;
  LoopbackGroup group = NewGroup();
  const auto optimizer = *CreateOneBitAdam(group.worker(0), TestOptions());
  std::vector<float> x(kNumElements, 0.25f);
  for (uint64_t round = 0; round < 20; ++round) {
    std::vector<float> gradient = Gradient(0, round);
    gradient[kLate] = round < 5 ? 0.0f : 2.0f;
    ASSERT_THAT(optimizer->Step(absl::MakeSpan(x), gradient), IsOk());
  }
  EXPECT_EQ(x[kLate], 0.25f);
  EXPECT_NE(x[kLate + 1], 0.25f);
}

TEST(OneBitAdamTest, GoesOnBitIdenticallyFromASavedState) {
  for (const ScaleGranularity::Unit unit :
       {ScaleGranularity::Unit::kBlock, ScaleGranularity::Unit::kTensor,
        ScaleGranularity::Unit::kModel}) {
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(unit) << ", " << DTypeName(dtype));
      TrainOptions options;
      options.method.granularity.unit = unit;
      options.method.dense_dtype = dtype;
      const Trained expected = Train(options);
      options.reload = true;
      EXPECT_EQ(Train(options).x, expected.x);
    }
  }
}

TEST(OneBitAdamTest, FreezesByItselfWhenTheVarianceIsSteady) {
  TrainOptions options;
  options.method.warmup_rounds.reset();
  options.method.freeze_interval = 10;
  options.method.freeze_threshold = 0.5f;
  options.num_rounds = 100;
  const Trained trained = Train(options);
  EXPECT_EQ(trained.first_compressed_round, 20u);
  options.reload = true;
  EXPECT_EQ(Train(options).x, trained.x);
}

TEST(OneBitAdamTest, AsksByDefaultOncePerMemoryOfTheVariance) {
  TrainOptions options;
  options.method.warmup_rounds.reset();
  options.method.adam.beta2 = 0.95f;  // 20 rounds
  options.method.freeze_threshold = 0.01f;
  options.num_rounds = 50;
  EXPECT_EQ(Train(options).first_compressed_round, 40u);
}

TEST(OneBitAdamTest, TellsItsPhaseAndItsResidual) {
  LoopbackGroup group = NewGroup();
  const auto optimizer = *CreateOneBitAdam(group.worker(0), TestOptions());
  std::vector<float> x(kNumElements);
  for (uint64_t round = 0; round < 6; ++round) {
    SCOPED_TRACE(round);
    EXPECT_EQ(optimizer->statistics().compressing, round == 5);
    EXPECT_EQ(optimizer->statistics().residual_norm, 0.0);
    ASSERT_THAT(optimizer->Step(absl::MakeSpan(x), Gradient(0, round)), IsOk());
  }
  EXPECT_GT(optimizer->statistics().residual_norm, 0.0);
}

TEST(OneBitAdamTest, AbstainsFromCompressedChunksThatAreNotFinite) {
  LoopbackGroup group = NewGroup();
  const auto optimizer = *CreateOneBitAdam(group.worker(0), TestOptions());
  std::vector<float> x(kNumElements);
  for (uint64_t round = 0; round < 8; ++round) {
    ASSERT_THAT(optimizer->Step(absl::MakeSpan(x), Gradient(0, round)), IsOk());
  }
  const std::vector<float> before = x;
  const double residual_norm = optimizer->statistics().residual_norm;
  std::vector<float> gradient(kNumElements, kNan);
  ASSERT_THAT(optimizer->Step(absl::MakeSpan(x), gradient), IsOk());
  EXPECT_EQ(optimizer->statistics().abstained_chunks, 3u);
  EXPECT_EQ(optimizer->statistics().residual_norm, residual_norm);
  EXPECT_EQ(x, before);
}

TEST(OneBitAdamTest, StopsAtWhatIsNotFiniteIfAsked) {
  LoopbackGroup group = NewGroup();
  OneBitAdamOptions options = TestOptions();
  options.adam.non_finite = NonFinitePolicy::kStop;
  const auto optimizer = *CreateOneBitAdam(group.worker(0), options);
  std::vector<float> x(kNumElements);
  for (uint64_t round = 0; round < 8; ++round) {
    ASSERT_THAT(optimizer->Step(absl::MakeSpan(x), Gradient(0, round)), IsOk());
  }
  std::vector<float> gradient = Gradient(0, 8);
  gradient[260] = kNan;
  EXPECT_THAT(optimizer->Step(absl::MakeSpan(x), gradient),
              StatusIs(absl::StatusCode::kOutOfRange,
                       AllOf(HasSubstr("chunk 1"), HasSubstr("`gradients[260]` = nan"))));
  EXPECT_THAT(optimizer->SaveState(), IsEmpty());
}

TEST(OneBitAdamTest, RefusesBadOptions) {
  struct Row {
    std::string field;
    void (*spoil)(OneBitAdamOptions&);
  };
  const Row rows[] = {
      {"`epsilon`", [](OneBitAdamOptions& options) { options.adam.epsilon = -1.0f; }},
      {"`warmup_rounds`", [](OneBitAdamOptions& options) { options.warmup_rounds = 0; }},
      {"`freeze_threshold`", [](OneBitAdamOptions& options) { options.freeze_threshold = 0.0f; }},
      {"`freeze_threshold`", [](OneBitAdamOptions& options) { options.freeze_threshold = 1.1f; }},
      {"`freeze_threshold`", [](OneBitAdamOptions& options) { options.freeze_threshold = kNan; }},
      {"block_elements",
       [](OneBitAdamOptions& options) { options.granularity.block_elements = 100; }},
      {"scale_rule",
       [](OneBitAdamOptions& options) { options.scale_rule = static_cast<ScaleRule>(9); }},
      {"data_type",
       [](OneBitAdamOptions& options) { options.dense_dtype = static_cast<DType>(9); }},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.field);
    LoopbackGroup group = NewGroup();
    OneBitAdamOptions options = TestOptions();
    row.spoil(options);
    EXPECT_THAT(CreateOneBitAdam(group.worker(0), options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.field)));
  }
}

TEST(OneBitAdamTest, ALayoutWithoutCompressedTensorsIsPlainAdam) {
  const Layout layout =
      *Layout::Create({{.name = "d", .num_elements = 4, .treatment = Treatment::kDense}});
  LoopbackGroup group(layout, {}, FastestHostBackend());
  const auto optimizer = *CreateOneBitAdam(group.worker(0), {.warmup_rounds = 1});
  std::vector<float> x(4);
  for (size_t round = 0; round < 3; ++round) {
    EXPECT_THAT(optimizer->Step(absl::MakeSpan(x), std::vector<float>(4, 1.0f)), IsOk());
  }
  EXPECT_NEAR(x[0], -3e-3f, 1e-7);
}

TEST(OneBitAdamTest, ALoadThatFailsChangesNothing) {
  LoopbackGroup group = NewGroup();
  const auto optimizer = *CreateOneBitAdam(group.worker(0), TestOptions());
  std::vector<float> x(kNumElements);
  for (uint64_t round = 0; round < 8; ++round) {
    ASSERT_THAT(optimizer->Step(absl::MakeSpan(x), Gradient(0, round)), IsOk());
  }
  const std::string state = optimizer->SaveState();
  OneBitAdamOptions other = TestOptions();
  other.granularity.unit = ScaleGranularity::Unit::kTensor;
  const auto stranger = *CreateOneBitAdam(group.worker(0), other);
  const std::string before = stranger->SaveState();
  EXPECT_THAT(stranger->LoadState(state), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(stranger->LoadState(state.substr(0, 100)), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(stranger->SaveState(), before);
}

}  // namespace
}  // namespace tally
