// The device's optimizer against the host's, which tests/reference judges.
#include "client/optimizers/device/device_onebit_adam.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "client/optimizers/device/test_devices.h"
#include "client/optimizers/onebit_adam.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/fake_device.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/method_comparison.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

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

ComparedMethod ComparedOn(Device* device, const OneBitAdamOptions& options, uint64_t num_rounds) {
  return {
      .on_host = [=](Exchanger* exchanger) { return CreateOneBitAdam(exchanger, options); },
      .on_device =
          [=](Exchanger* exchanger) { return CreateDeviceOneBitAdam(exchanger, options, device); },
      .device = device,
      .layout = TestLayout,
      .gradient = Gradient,
      .num_rounds = num_rounds};
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
  ComparedMethod Compared(const OneBitAdamOptions& options, uint64_t num_rounds) const {
    return ComparedOn(device_.get(), options, num_rounds);
  }

  TestDevice device_;
};

TEST_P(DeviceOneBitAdamTest, HasTheHostsBits) {
  const auto misses = [](size_t w, uint64_t round, uint32_t chunk) {
    return (w + round + chunk) % 4 == 0;
  };
  const std::pair<ScaleGranularity::Unit, DType> settings[] = {
      {ScaleGranularity::Unit::kBlock, DType::kFloat32},
      {ScaleGranularity::Unit::kTensor, DType::kBFloat16},
      {ScaleGranularity::Unit::kModel, DType::kFloat32}};
  for (const auto& [unit, dtype] : settings) {
    SCOPED_TRACE(testing::Message() << static_cast<int>(unit) << ", " << DTypeName(dtype));
    OneBitAdamOptions options = TestOptions();
    options.granularity.unit = unit;
    options.dense_dtype = dtype;
    ExpectTheHostsBits(Compared(options, 14), {.misses = misses});
  }
}

TEST_P(DeviceOneBitAdamTest, GoesOnFromTheHostsStateAndBack) {
  ExpectItGoesOnAcross(
      Compared(TestOptions(), 12),
      {.misses = [](size_t, uint64_t round, uint32_t chunk) { return (round + chunk) % 3 == 0; }});
}

TEST_P(DeviceOneBitAdamTest, FreezesByItselfWithTheHost) {
  OneBitAdamOptions options = TestOptions();
  options.warmup_rounds.reset();
  options.freeze_interval = 5;
  options.freeze_threshold = 0.5f;
  LoopbackGroup host_group(TestLayout(), {}, FastestHostBackend());
  const TrainedWorker expected = TrainOnHost(Compared(options, 15), host_group, 0);
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
  const TrainedWorker trained = TrainOnHost(ComparedOn(&device, TestOptions(), 8), host_group, 0);
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
