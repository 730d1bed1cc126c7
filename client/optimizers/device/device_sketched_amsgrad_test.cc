// The device's optimizer against the host's, which tests/reference judges.
#include "client/optimizers/device/device_sketched_amsgrad.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/optimizers/device/test_devices.h"
#include "client/optimizers/sketched_amsgrad.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/fake_device.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/method_comparison.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr size_t kNumElements = 4'051;
constexpr size_t kNumCompressed = 4'001;

// Three groups, of which one ends with a run of 33 elements, and a dense tensor after them.
Layout TestLayout() {
  return *Layout::Create({{.name = "a", .num_elements = 1'501, .masked = {{3, 200}, {700, 764}}},
                          {.name = "b", .num_elements = 50, .treatment = Treatment::kDense},
                          {.name = "c", .num_elements = 2'500}},
                         4'096, DealingOptions{.num_groups = 3, .seed = 7});
}

SketchedAmsgradOptions TestOptions() {
  return {.adam = {.weight_decay = 0.01f},
          .sketch = {.num_updated = 100, .rows = 3, .columns = 384},
          .warmup_rounds = 2};
}

std::vector<float> Gradient(size_t worker, uint64_t round) {
  std::vector<float> gradient(kNumElements);
  for (size_t i = 0; i < kNumElements; ++i) {
    gradient[i] = static_cast<float>((i * 37 + worker * 11 + round * round * 5) % 128) / 64.0f -
                  static_cast<float>(i % 7) / 4.0f;
  }
  // Of one group, in one round of either kind.
  if (round == 1 || round == 4) gradient[1'100 + worker] = kNan;
  return gradient;
}

ComparedMethod ComparedOn(Device* device, const SketchedAmsgradOptions& options) {
  return {
      .on_host = [=](Exchanger* exchanger) { return CreateSketchedAmsgrad(exchanger, options); },
      .on_device =
          [=](Exchanger* exchanger) {
            return CreateDeviceSketchedAmsgrad(exchanger, options, device);
          },
      .device = device,
      .layout = TestLayout,
      .gradient = Gradient,
      .num_rounds = 8};
}

class DeviceSketchedAmsgradTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    absl::StatusOr<TestDevice> device = TestDevice::Open(GetParam());
    if (!device.ok()) GTEST_SKIP() << device.status();
    device_ = *std::move(device);
  }

  TestDevice device_;
};

TEST_P(DeviceSketchedAmsgradTest, HasTheHostsBits) {
  const auto misses = [](size_t w, uint64_t round, uint32_t chunk) {
    return (w + round + chunk) % 4 == 0;
  };
  for (const bool exact_values : {true, false}) {
    SCOPED_TRACE(exact_values);
    SketchedAmsgradOptions options = TestOptions();
    options.sketch.exact_values = exact_values;
    options.sketch.table_dtype = exact_values ? DType::kBFloat16 : DType::kFloat32;
    options.sketch.values_dtype = options.sketch.table_dtype;
    options.dense_dtype = options.sketch.table_dtype;
    const TrainedWorker trained =
        ExpectTheHostsBits(ComparedOn(device_.get(), options), {.misses = misses});
    EXPECT_EQ(trained.statistics.abstained_chunks, 2u);
    EXPECT_TRUE(trained.statistics.compressing);
    EXPECT_THAT(absl::MakeConstSpan(trained.residual).subspan(kNumCompressed), Each(0.0f));
  }
}

TEST_P(DeviceSketchedAmsgradTest, GoesOnFromTheHostsStateAndBack) {
  ExpectItGoesOnAcross(
      ComparedOn(device_.get(), TestOptions()),
      {.misses = [](size_t, uint64_t round, uint32_t chunk) { return (round + chunk) % 3 == 0; }});
}

TEST_P(DeviceSketchedAmsgradTest, FollowsAndInheritsAsTheHostDoes) {
  LoopbackGroup groups[] = {{TestLayout(), {}, FastestHostBackend()},
                            {TestLayout(), {}, FastestHostBackend()}};
  const auto host = *CreateSketchedAmsgrad(groups[0].worker(0), TestOptions());
  const auto device =
      *CreateDeviceSketchedAmsgrad(groups[1].worker(0), TestOptions(), device_.get());
  std::vector<float> x(kNumElements);
  DeviceTrainer trainer = *DeviceTrainer::Create(device_.get(), kNumElements);
  for (uint64_t round = 0; round < 8; ++round) {
    SCOPED_TRACE(round);
    if (round == 1 || round == 5) {
      ASSERT_THAT(host->Follow(absl::MakeSpan(x)), IsOk());
      ASSERT_THAT(trainer.Follow(*device), IsOk());
      continue;
    }
    ASSERT_THAT(host->SetLearningRate(0.001f * static_cast<float>(round + 1)), IsOk());
    ASSERT_THAT(device->SetLearningRate(0.001f * static_cast<float>(round + 1)), IsOk());
    ASSERT_THAT(host->Step(absl::MakeSpan(x), Gradient(0, round)), IsOk());
    ASSERT_THAT(trainer.Step(*device, Gradient(0, round)), IsOk());
    // From inside of a run to inside of another one, and the last one.
    for (const auto& [offset, size] : {std::pair(1'950, 300), std::pair(3'990, 11)}) {
      const std::vector<float> legacy(size, 0.25f);
      ASSERT_THAT(host->Inherit(offset, legacy), IsOk());
      ASSERT_THAT(device->Inherit(offset, legacy), IsOk());
    }
  }
  const std::vector<float> too_long(2, 1.0f);
  EXPECT_THAT(device->Inherit(kNumCompressed - 1, too_long),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must be below 4001")));
  EXPECT_EQ(device->Residual(), host->Residual());
  EXPECT_EQ(*trainer.Parameters(), x);
  EXPECT_EQ(device->SaveState(), host->SaveState());
  EXPECT_EQ(device->SaveSharedState(), host->SaveSharedState());
}

TEST_P(DeviceSketchedAmsgradTest, RefusesWhatTheHostRefuses) {
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  SketchedAmsgradOptions options = TestOptions();
  options.warmup_rounds = 0;
  EXPECT_THAT(CreateDeviceSketchedAmsgrad(group.worker(0), options, device_.get()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`warmup_rounds`")));
  options = TestOptions();
  options.adam.non_finite = NonFinitePolicy::kStop;
  const auto optimizer = *CreateDeviceSketchedAmsgrad(group.worker(0), options, device_.get());
  EXPECT_THAT(optimizer->SetLearningRate(0.0f), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(optimizer->Step({}, {}), StatusIs(absl::StatusCode::kInvalidArgument));
  const std::string state = optimizer->SaveState();
  EXPECT_THAT(optimizer->LoadState(state.substr(1)), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(optimizer->SaveState(), state);
  DeviceTrainer trainer = *DeviceTrainer::Create(device_.get(), kNumElements);
  for (const uint64_t round : {0, 2, 3}) {
    ASSERT_THAT(trainer.Step(*optimizer, Gradient(0, round)), IsOk());
  }
  EXPECT_THAT(trainer.Step(*optimizer, Gradient(0, 4)),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("nan")));
  EXPECT_THAT(optimizer->SaveState(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Devices, DeviceSketchedAmsgradTest,
                         testing::Values("device_fake", "cuda_emulated", "cuda"),
                         [](const auto& test) { return test.param; });

TEST(DeviceSketchedAmsgradFailureTest, AFullDeviceRefusesTheOptimizer) {
  FakeDevice device;
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  int num_refusals = 0;
  for (uint64_t limit = 100;; limit += 2'000) {
    device.LimitMemory(limit);
    const auto optimizer = CreateDeviceSketchedAmsgrad(group.worker(0), TestOptions(), &device);
    if (optimizer.ok()) break;
    ++num_refusals;
    EXPECT_THAT(optimizer.status(), StatusIs(absl::StatusCode::kResourceExhausted));
  }
  EXPECT_GT(num_refusals, 20);
}

TEST(DeviceSketchedAmsgradFailureTest, AFailedDeviceEndsTheTraining) {
  FakeDevice device;
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  const auto optimizer = *CreateDeviceSketchedAmsgrad(group.worker(0), TestOptions(), &device);
  DeviceTrainer trainer = *DeviceTrainer::Create(&device, kNumElements);
  for (const uint64_t round : {0, 2, 3}) {
    ASSERT_THAT(trainer.Step(*optimizer, Gradient(0, round)), IsOk());
  }
  const std::string state = optimizer->SaveState();
  device.Fail("it fell off the bus");
  EXPECT_THAT(trainer.Follow(*optimizer),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("fell off the bus")));
  EXPECT_THAT(optimizer->Residual(), IsEmpty());
  EXPECT_THAT(optimizer->SaveState(), IsEmpty());
  EXPECT_THAT(optimizer->LoadState(state), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(optimizer->SaveState(), IsEmpty()) << "a state does not make it well";
}

}  // namespace
}  // namespace tally
