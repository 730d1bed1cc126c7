#include "tests/util/method_comparison.h"

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "client/optimizers/device/test_devices.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::DoubleNear;

TrainedWorker EndOf(const Optimizer& optimizer, const Layout& layout, std::vector<float> x) {
  std::vector<float> shared_part(layout.num_compressed(), 1.0f);
  const absl::StatusOr<bool> shares = optimizer.TurnIntoSharedPart(0, absl::MakeSpan(shared_part));
  EXPECT_THAT(shares, IsOk());
  if (shares.ok() && !*shares) shared_part.clear();
  return {std::move(x), optimizer.Residual(), std::move(shared_part), optimizer.SaveState(),
          optimizer.statistics()};
}

absl::StatusOr<TrainedWorker> TrainOnDevice(const ComparedMethod& method, Exchanger* exchanger) {
  TALLY_ASSIGN_OR_RETURN(const auto optimizer, method.on_device(exchanger));
  TALLY_ASSIGN_OR_RETURN(DeviceTrainer trainer,
                         DeviceTrainer::Create(method.device, method.layout().num_elements()));
  for (uint64_t round = 0; round < method.num_rounds; ++round) {
    TALLY_RETURN_IF_ERROR(trainer.Step(*optimizer, method.gradient(0, round)));
  }
  TALLY_ASSIGN_OR_RETURN(std::vector<float> x, trainer.Parameters());
  return EndOf(*optimizer, method.layout(), std::move(x));
}

}  // namespace

TrainedWorker TrainOnHost(const ComparedMethod& method, LoopbackGroup& group, size_t worker) {
  const std::unique_ptr<Optimizer> optimizer = *method.on_host(group.worker(worker));
  std::vector<float> x(method.layout().num_elements());
  for (uint64_t round = 0; round < method.num_rounds; ++round) {
    EXPECT_THAT(optimizer->Step(absl::MakeSpan(x), method.gradient(worker, round)), IsOk());
  }
  return EndOf(*optimizer, method.layout(), std::move(x));
}

TrainedWorker ExpectTheHostsBits(const ComparedMethod& method, LoopbackOptions loopback) {
  loopback.num_workers = 2;
  std::vector<TrainedWorker> expected(2);
  LoopbackGroup hosts(method.layout(), loopback, FastestHostBackend());
  EXPECT_THAT(hosts.RunWorkers([&](size_t w) -> absl::Status {
    expected[w] = TrainOnHost(method, hosts, w);
    return absl::OkStatus();
  }),
              IsOk());

  TrainedWorker other;
  TrainedWorker trained;
  LoopbackGroup mixed(method.layout(), loopback, FastestHostBackend());
  EXPECT_THAT(mixed.RunWorkers([&](size_t w) -> absl::Status {
    if (w == 1) {
      other = TrainOnHost(method, mixed, 1);
      return absl::OkStatus();
    }
    TALLY_ASSIGN_OR_RETURN(trained, TrainOnDevice(method, mixed.worker(0)));
    return absl::OkStatus();
  }),
              IsOk());
  EXPECT_EQ(trained.x, expected[0].x);
  EXPECT_EQ(other.x, trained.x);
  EXPECT_EQ(trained.residual, expected[0].residual);
  EXPECT_EQ(trained.shared_part, expected[0].shared_part);
  EXPECT_EQ(trained.state, expected[0].state);
  EXPECT_EQ(trained.statistics.steps, method.num_rounds);
  EXPECT_EQ(trained.statistics.abstained_chunks, expected[0].statistics.abstained_chunks);
  EXPECT_EQ(trained.statistics.compressing, expected[0].statistics.compressing);
  EXPECT_THAT(trained.statistics.residual_norm,
              DoubleNear(expected[0].statistics.residual_norm, 1e-6));
  return trained;
}

void ExpectItGoesOnAcross(const ComparedMethod& method, const LoopbackOptions& loopback) {
  LoopbackGroup host_group(method.layout(), loopback, FastestHostBackend());
  const TrainedWorker expected = TrainOnHost(method, host_group, 0);

  LoopbackGroup group(method.layout(), loopback, FastestHostBackend());
  const size_t num_elements = method.layout().num_elements();
  DeviceTrainer trainer = *DeviceTrainer::Create(method.device, num_elements);
  std::vector<float> x(num_elements);
  std::string state;
  for (uint64_t round = 0; round < method.num_rounds; ++round) {
    SCOPED_TRACE(round);
    const bool on_host = round % 2 == 1;
    const std::unique_ptr<Optimizer> optimizer =
        on_host ? *method.on_host(group.worker(0)) : *method.on_device(group.worker(0));
    if (round > 0) {
      ASSERT_THAT(optimizer->LoadState(state), IsOk());
    }
    const std::vector<float> gradient = method.gradient(0, round);
    ASSERT_THAT(
        on_host ? optimizer->Step(absl::MakeSpan(x), gradient) : trainer.Step(*optimizer, gradient),
        IsOk());
    state = optimizer->SaveState();
  }
  EXPECT_EQ(state, expected.state);
}

}  // namespace tally
