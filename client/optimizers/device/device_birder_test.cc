// The device's optimizer against the host's, which tests/reference judges.
#include "client/optimizers/device/device_birder.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "client/optimizers/birder.h"
#include "client/optimizers/device/test_devices.h"
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
constexpr size_t kNumElements = 2'350;
constexpr uint64_t kRounds = 8;

// Chunks of 1,024, 1,024 and 252 elements, and a dense one of 50.
Layout TestLayout() {
  return *Layout::Create({{.name = "a", .num_elements = 1'300, .masked = {{3, 200}}},
                          {.name = "b", .num_elements = 50, .treatment = Treatment::kDense},
                          {.name = "c", .num_elements = 1'000}},
                         1'024);
}

BirderOptions TestOptions(bool vote_counts) {
  return {.magnitude_beta = 0.99f, .weight_decay = 0.01f, .vote_counts = vote_counts};
}

// One chunk's is not finite in one round.
std::vector<float> Gradient(size_t worker, uint64_t round) {
  std::vector<float> gradient(kNumElements);
  for (size_t i = 0; i < kNumElements; ++i) {
    gradient[i] = static_cast<float>((i * 37 + worker * 11 + round * round * 5) % 128) / 64.0f -
                  static_cast<float>(i % 7) / 4.0f;
  }
  if (round == 4) gradient[1'100 + worker] = kNan;
  return gradient;
}

class DeviceBirderTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    absl::StatusOr<TestDevice> device = TestDevice::Open(GetParam());
    if (!device.ok()) GTEST_SKIP() << device.status();
    device_ = *std::move(device);
  }

  ComparedMethod Compared(const BirderOptions& options) const {
    return {.on_host = [=](Exchanger* exchanger) { return CreateBirder(exchanger, options); },
            .on_device =
                [=, this](Exchanger* exchanger) {
                  return CreateDeviceBirder(exchanger, options, device_.get());
                },
            .device = device_.get(),
            .layout = TestLayout,
            .gradient = Gradient,
            .num_rounds = kRounds};
  }

  TestDevice device_;
};

TEST_P(DeviceBirderTest, HasTheHostsBits) {
  const auto misses = [](size_t w, uint64_t round, uint32_t chunk) {
    return (w + round + chunk) % 4 == 0;
  };
  for (const bool vote_counts : {false, true}) {
    SCOPED_TRACE(vote_counts);
    const TrainedWorker trained =
        ExpectTheHostsBits(Compared(TestOptions(vote_counts)), {.misses = misses});
    EXPECT_EQ(trained.statistics.abstained_chunks, 1u);
  }
}

TEST_P(DeviceBirderTest, GoesOnFromTheHostsStateAndBack) {
  ExpectItGoesOnAcross(Compared(TestOptions(false)), {});
}

TEST_P(DeviceBirderTest, FollowsAsTheHostDoes) {
  const BirderOptions options = TestOptions(true);
  LoopbackGroup group(TestLayout(), {.num_workers = 2}, FastestHostBackend());
  std::vector<std::vector<float>> x(2);
  ASSERT_THAT(group.RunWorkers([&](size_t w) -> absl::Status {
    if (w == 1) {
      x[1] = TrainOnHost(Compared(options), group, 1).x;
      return absl::OkStatus();
    }
    TALLY_ASSIGN_OR_RETURN(const auto optimizer,
                           CreateDeviceBirder(group.worker(0), options, device_.get()));
    TALLY_ASSIGN_OR_RETURN(DeviceTrainer trainer,
                           DeviceTrainer::Create(device_.get(), kNumElements));
    for (uint64_t round = 0; round < kRounds; ++round) {
      TALLY_RETURN_IF_ERROR(trainer.Follow(*optimizer));
    }
    EXPECT_EQ(optimizer->statistics().abstained_chunks, 0u);
    TALLY_ASSIGN_OR_RETURN(x[0], trainer.Parameters());
    return absl::OkStatus();
  }),
              IsOk());
  EXPECT_EQ(x[0], x[1]);
}

TEST_P(DeviceBirderTest, RefusesWhatTheHostRefuses) {
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  BirderOptions options = TestOptions(false);
  options.beta = 1.0f;
  EXPECT_THAT(CreateDeviceBirder(group.worker(0), options, device_.get()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`beta`")));
  const auto optimizer = *CreateDeviceBirder(group.worker(0), TestOptions(false), device_.get());
  EXPECT_THAT(optimizer->SetLearningRate(0.0f), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(optimizer->Step({}, {}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(optimizer->Residual(), IsEmpty());
  const std::string state = optimizer->SaveState();
  EXPECT_THAT(optimizer->LoadState(state.substr(1)), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(optimizer->SaveState(), state);
}

TEST(DeviceBirderFailureTest, AFullDeviceRefusesTheOptimizer) {
  FakeDevice device;
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  for (const uint64_t limit : {1'000u, 12'000u, 20'000u}) {
    device.LimitMemory(limit);
    EXPECT_THAT(CreateDeviceBirder(group.worker(0), TestOptions(true), &device),
                StatusIs(absl::StatusCode::kResourceExhausted));
  }
}

TEST(DeviceBirderFailureTest, AFailedDeviceEndsTheTraining) {
  FakeDevice device;
  LoopbackGroup group(TestLayout(), {}, FastestHostBackend());
  const auto optimizer = *CreateDeviceBirder(group.worker(0), TestOptions(true), &device);
  DeviceTrainer trainer = *DeviceTrainer::Create(&device, kNumElements);
  ASSERT_THAT(trainer.Step(*optimizer, Gradient(0, 0)), IsOk());
  device.Fail("it fell off the bus");
  EXPECT_THAT(trainer.Follow(*optimizer),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("fell off the bus")));
  EXPECT_THAT(optimizer->SaveState(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Devices, DeviceBirderTest,
                         testing::Values("device_fake", "cuda_emulated", "cuda"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace tally
