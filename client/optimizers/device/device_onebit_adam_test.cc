// The device's optimizer against the host's, which tests/reference judges.
#include "client/optimizers/device/device_onebit_adam.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "client/optimizers/device/test_devices.h"
#include "client/optimizers/onebit_adam.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/fake_device.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::DoubleNear;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr size_t kNumElements = 9'350;

// Chunks of 4,352, 4,352 and 596 elements, the first of which ends inside a tensor, and a dense one
// of 50.
Layout TestLayout() {
  return *Layout::Create({{.name = "a", .num_elements = 5'000, .masked = {{3, 200}}},
                          {.name = "b", .num_elements = 50, .treatment = Treatment::kDense},
                          {.name = "c", .num_elements = 4'300}},
                         4'352);
}

OneBitAdamOptions TestOptions() {
  return {
      .adam = {.weight_decay = 0.01f}, .warmup_rounds = 5, .granularity = {.block_elements = 256}};
}

// Some elements have none before the freeze.
std::vector<float> Gradient(size_t worker, uint64_t round) {
  std::vector<float> gradient(kNumElements);
  for (size_t i = 0; i < kNumElements; ++i) {
    if (i % 50 == 7 && round < 6) continue;
    gradient[i] = static_cast<float>((i * 37 + worker * 11 + round * round * 5) % 128) / 64.0f -
                  static_cast<float>(i % 7) / 4.0f;
  }
  return gradient;
}

class DeviceOneBitAdamTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    absl::StatusOr<TestDevice> device = TestDevice::Open(GetParam());
    if (!device.ok()) GTEST_SKIP() << device.status();
    device_ = *std::move(device);
  }

  absl::StatusOr<std::unique_ptr<Optimizer>> Create(Exchanger* exchanger,
                                                    const OneBitAdamOptions& options) {
    return CreateDeviceOneBitAdam(exchanger, options, device_.get());
  }

  TestDevice device_;
};

struct Trained {
  std::vector<float> x;
  std::vector<float> residual;
  std::string state;
  OptimizerStatistics statistics;
};

// Trains on the host.
Trained TrainOnHost(LoopbackGroup& group, size_t worker, const OneBitAdamOptions& options,
                    uint64_t num_rounds) {
  const std::unique_ptr<Optimizer> optimizer = *CreateOneBitAdam(group.worker(worker), options);
  Trained trained = {.x = std::vector<float>(kNumElements)};
  for (uint64_t round = 0; round < num_rounds; ++round) {
    EXPECT_THAT(optimizer->Step(absl::MakeSpan(trained.x), Gradient(worker, round)), IsOk());
  }
  trained.residual = optimizer->Residual();
  trained.state = optimizer->SaveState();
  trained.statistics = optimizer->statistics();
  return trained;
}

// In one run worker 0 has a device and worker 1 has none; in another nobody has.
TEST_P(DeviceOneBitAdamTest, HasTheHostsBits) {
  constexpr uint64_t kRounds = 14;
  const LoopbackOptions loopback = {.num_workers = 2,
                                    .misses = [](size_t w, uint64_t round, uint32_t chunk) {
                                      return (w + round + chunk) % 4 == 0;
                                    }};
  const std::pair<ScaleGranularity::Unit, DType> settings[] = {
      {ScaleGranularity::Unit::kBlock, DType::kFloat32},
      {ScaleGranularity::Unit::kTensor, DType::kBFloat16},
      {ScaleGranularity::Unit::kModel, DType::kFloat32}};
  for (const auto& [unit, dtype] : settings) {
    SCOPED_TRACE(testing::Message() << static_cast<int>(unit) << ", " << DTypeName(dtype));
    OneBitAdamOptions options = TestOptions();
    options.granularity.unit = unit;
    options.dense_dtype = dtype;
    std::vector<Trained> expected(2);
    LoopbackGroup hosts(TestLayout(), loopback, FastestHostBackend());
    EXPECT_THAT(hosts.RunWorkers([&](size_t w) -> absl::Status {
      expected[w] = TrainOnHost(hosts, w, options, kRounds);
      return absl::OkStatus();
    }),
                IsOk());

    std::vector<float> other_x;
    Trained trained;
    LoopbackGroup mixed(TestLayout(), loopback, FastestHostBackend());
    ASSERT_THAT(mixed.RunWorkers([&](size_t w) -> absl::Status {
      if (w == 1) {
        other_x = TrainOnHost(mixed, 1, options, kRounds).x;
        return absl::OkStatus();
      }
      TALLY_ASSIGN_OR_RETURN(const auto optimizer, Create(mixed.worker(0), options));
      TALLY_ASSIGN_OR_RETURN(DeviceTrainer trainer,
                             DeviceTrainer::Create(device_.get(), kNumElements));
      for (uint64_t round = 0; round < kRounds; ++round) {
        TALLY_RETURN_IF_ERROR(trainer.Step(*optimizer, Gradient(0, round)));
      }
      TALLY_ASSIGN_OR_RETURN(trained.x, trainer.Parameters());
      trained.residual = optimizer->Residual();
      trained.state = optimizer->SaveState();
      trained.statistics = optimizer->statistics();
      return absl::OkStatus();
    }),
                IsOk());
    EXPECT_EQ(trained.x, expected[0].x);
    EXPECT_EQ(other_x, trained.x);
    EXPECT_EQ(trained.residual, expected[0].residual);
    EXPECT_EQ(trained.state, expected[0].state);
    EXPECT_EQ(trained.statistics.steps, kRounds);
    EXPECT_THAT(trained.statistics.residual_norm,
                DoubleNear(expected[0].statistics.residual_norm, 1e-6));
  }
}

TEST_P(DeviceOneBitAdamTest, GoesOnFromTheHostsStateAndBack) {
  const LoopbackOptions loopback = {
      .misses = [](size_t, uint64_t round, uint32_t chunk) { return (round + chunk) % 3 == 0; }};
  const OneBitAdamOptions options = TestOptions();
  LoopbackGroup host_group(TestLayout(), loopback, FastestHostBackend());
  const Trained expected = TrainOnHost(host_group, 0, options, 12);

  LoopbackGroup group(TestLayout(), loopback, FastestHostBackend());
  std::vector<float> x(kNumElements);
  DeviceTrainer trainer = *DeviceTrainer::Create(device_.get(), kNumElements);
  std::string state;
  for (uint64_t round = 0; round < 12; ++round) {
    SCOPED_TRACE(round);
    const bool on_host = round % 2 == 1;
    const auto optimizer =
        on_host ? *CreateOneBitAdam(group.worker(0), options) : *Create(group.worker(0), options);
    if (round > 0) {
      ASSERT_THAT(optimizer->LoadState(state), IsOk());
    }
    if (on_host) {
      ASSERT_THAT(optimizer->Step(absl::MakeSpan(x), Gradient(0, round)), IsOk());
    } else {
      ASSERT_THAT(trainer.Step(*optimizer, Gradient(0, round)), IsOk());
    }
    state = optimizer->SaveState();
  }
  EXPECT_EQ(state, expected.state);
}

TEST_P(DeviceOneBitAdamTest, FreezesByItselfWithTheHost) {
  OneBitAdamOptions options = TestOptions();
  options.warmup_rounds.reset();
  options.freeze_interval = 5;
  options.freeze_threshold = 0.5f;
  LoopbackGroup host_group(TestLayout(), {}, FastestHostBackend());
  const Trained expected = TrainOnHost(host_group, 0, options, 15);
  ASSERT_TRUE(expected.statistics.compressing);

  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  DeviceTrainer trainer = *DeviceTrainer::Create(device_.get(), kNumElements);
  const auto optimizer = *Create(group.worker(0), options);
  for (uint64_t round = 0; round < 15; ++round) {
    ASSERT_THAT(trainer.Step(*optimizer, Gradient(0, round)), IsOk());
  }
  EXPECT_EQ(*trainer.Parameters(), expected.x);
}

TEST_P(DeviceOneBitAdamTest, AbstainsFollowsAndInheritsAsTheHostDoes) {
  const OneBitAdamOptions options = TestOptions();
  LoopbackGroup groups[] = {{TestLayout(), {}, FastestHostBackend()},
                            {TestLayout(), {}, FastestHostBackend()}};
  const auto host = *CreateOneBitAdam(groups[0].worker(0), options);
  const auto device = *Create(groups[1].worker(0), options);
  std::vector<float> x(kNumElements);
  DeviceTrainer trainer = *DeviceTrainer::Create(device_.get(), kNumElements);
  EXPECT_THAT(device->Residual(), IsEmpty());
  EXPECT_THAT(device->Inherit(0, {1.0f}), StatusIs(absl::StatusCode::kFailedPrecondition));
  for (uint64_t round = 0; round < 10; ++round) {
    SCOPED_TRACE(round);
    if (round == 3 || round == 8) {
      ASSERT_THAT(host->Follow(absl::MakeSpan(x)), IsOk());
      ASSERT_THAT(trainer.Follow(*device), IsOk());
      continue;
    }
    std::vector<float> gradient = Gradient(0, round);
    if (round == 2 || round == 7) gradient[4'500] = kNan;
    ASSERT_THAT(host->Step(absl::MakeSpan(x), gradient), IsOk());
    ASSERT_THAT(trainer.Step(*device, gradient), IsOk());
    if (round < 5) continue;
    // Over the end of a chunk.
    const std::vector<float> legacy(600, 0.25f);
    ASSERT_THAT(host->Inherit(4'001, legacy), IsOk());
    ASSERT_THAT(device->Inherit(4'001, legacy), IsOk());
  }
  const std::vector<float> too_long(2, 1.0f);
  EXPECT_THAT(device->Inherit(kNumElements - 51, too_long),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("[9299, 9301)")))
      << "its last element is none of the compressed ones";
  EXPECT_EQ(device->statistics().abstained_chunks, 2u);
  EXPECT_EQ(device->Residual(), host->Residual());
  EXPECT_EQ(*trainer.Parameters(), x);
  EXPECT_EQ(device->SaveSharedState(), host->SaveSharedState());
}

TEST_P(DeviceOneBitAdamTest, StopsWhereTheHostStops) {
  OneBitAdamOptions options = TestOptions();
  options.adam.non_finite = NonFinitePolicy::kStop;
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  const auto optimizer = *Create(group.worker(0), options);
  DeviceTrainer trainer = *DeviceTrainer::Create(device_.get(), kNumElements);
  for (uint64_t round = 0; round < 6; ++round) {
    ASSERT_THAT(trainer.Step(*optimizer, Gradient(0, round)), IsOk());
  }
  std::vector<float> gradient = Gradient(0, 6);
  gradient[4'500] = kNan;
  EXPECT_THAT(trainer.Step(*optimizer, gradient),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("`gradients[4500]` = nan")));
  EXPECT_THAT(trainer.Step(*optimizer, Gradient(0, 6)), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(optimizer->SaveState(), "");
}

TEST_P(DeviceOneBitAdamTest, RefusesWhatTheHostRefuses) {
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  OneBitAdamOptions options = TestOptions();
  options.adam.beta1 = 1.0f;
  EXPECT_THAT(Create(group.worker(0), options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`beta1`")));
  const auto optimizer = *Create(group.worker(0), TestOptions());
  EXPECT_THAT(optimizer->SetLearningRate(0.0f), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(optimizer->Step({}, {}), StatusIs(absl::StatusCode::kInvalidArgument));
  const std::string state = optimizer->SaveState();
  EXPECT_THAT(optimizer->LoadState(state.substr(1)), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(optimizer->SaveState(), state);
}

INSTANTIATE_TEST_SUITE_P(Devices, DeviceOneBitAdamTest,
                         testing::Values("device_fake", "cuda_emulated", "cuda"),
                         [](const auto& test) { return test.param; });

TEST(DeviceFailureTest, AFullDeviceRefusesTheOptimizer) {
  FakeDevice device;
  device.LimitMemory(50'000);
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  EXPECT_THAT(CreateDeviceOneBitAdam(group.worker(0), TestOptions(), &device),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(DeviceFailureTest, AStateThatFindsNoRoomChangesNothing) {
  FakeDevice device;
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  const auto optimizer = *CreateDeviceOneBitAdam(group.worker(0), TestOptions(), &device);
  LoopbackGroup host_group(TestLayout(), {}, FastestHostBackend());
  const Trained trained = TrainOnHost(host_group, 0, TestOptions(), 8);
  const std::string before = optimizer->SaveState();
  const uint64_t used = device.allocated_bytes();
  // More and more room for what comes with a frozen variance, until it suffices.
  absl::Status status;
  int num_refusals = 0;
  for (uint64_t room = 500; room < 100'000; room += 500) {
    device.LimitMemory(used + room);
    status = optimizer->LoadState(trained.state);
    if (status.ok()) break;
    ++num_refusals;
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_EQ(optimizer->SaveState(), before);
  }
  EXPECT_THAT(status, IsOk());
  EXPECT_GT(num_refusals, 10);
  EXPECT_EQ(optimizer->SaveState(), trained.state);
}

TEST(DeviceFailureTest, AStepThatFindsNoRoomEndsTheTraining) {
  FakeDevice device;
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  const auto optimizer = *CreateDeviceOneBitAdam(group.worker(0), TestOptions(), &device);
  DeviceTrainer trainer = *DeviceTrainer::Create(&device, kNumElements);
  device.LimitMemory(device.allocated_bytes() + 1'000);
  EXPECT_THAT(trainer.Step(*optimizer, Gradient(0, 0)),
              StatusIs(absl::StatusCode::kResourceExhausted));
  device.LimitMemory(10'000'000);
  EXPECT_THAT(trainer.Step(*optimizer, Gradient(0, 1)),
              StatusIs(absl::StatusCode::kResourceExhausted))
      << "chunks may stand at different rounds";
}

TEST(DeviceFailureTest, AFailedDeviceEndsTheTraining) {
  FakeDevice device;
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  const auto optimizer = *CreateDeviceOneBitAdam(group.worker(0), TestOptions(), &device);
  DeviceTrainer trainer = *DeviceTrainer::Create(&device, kNumElements);
  ASSERT_THAT(trainer.Step(*optimizer, Gradient(0, 0)), IsOk());
  device.Fail("it fell off the bus");
  EXPECT_THAT(trainer.Follow(*optimizer),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("fell off the bus")));
  EXPECT_THAT(optimizer->Residual(), IsEmpty());
  EXPECT_THAT(optimizer->SaveState(), IsEmpty());
}

}  // namespace
}  // namespace tally
