#include "aggregator/device_runner.h"

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "aggregator/host_runner.h"
#include "aggregator/job_description.h"
#include "aggregator/residual.h"
#include "base/logging.h"
#include "base/mutex.h"
#include "codecs/sample_exchanges.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/fake_device.h"
#include "kernels/host_backends.h"
#include "tests/util/exchange_tasks.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr uint64_t kNoLimit = ~uint64_t{0};
const Exchange kSigns = {
    SignExchange{ScaleRule::kMeanMagnitude, {ScaleGranularity::Unit::kBlock, 256}}};

const Backend& Scalar() { return *HostBackends().front(); }

// The same tasks for the device and for the host, round after round, each with residuals of its
// own.
class Pair {
 public:
  Pair(std::shared_ptr<const JobDescription> description, uint32_t chunk, Exchange exchange)
      : description_(std::move(description)), chunk_(chunk), exchange_(std::move(exchange)) {
    const size_t num_elements = description_->layout.chunks()[chunk].num_elements;
    for (auto& residual : residuals_) residual = std::make_shared<Residual>(num_elements);
  }

  // For the device and for the host. Every third round a snapshot is taken.
  std::array<ExchangeTask, 2> Tasks(uint64_t round) const {
    const auto num_participants = static_cast<uint32_t>(1 + round % 5);
    const ExchangeTask task = RandomTask(description_, chunk_, exchange_, num_participants, round);
    std::array<ExchangeTask, 2> tasks = {task, task};
    for (size_t side = 0; side < 2; ++side) {
      if (absl::holds_alternative<SignExchange>(exchange_.kind)) {
        tasks[side].residual = residuals_[side];
      }
      if (round % 3 == 0) tasks[side].snapshot_of = residuals_[side];
    }
    return tasks;
  }
  const Exchange& exchange() const { return exchange_; }
  const std::shared_ptr<Residual>& residual(size_t side) const { return residuals_[side]; }

 private:
  const std::shared_ptr<const JobDescription> description_;
  const uint32_t chunk_;
  const Exchange exchange_;
  std::shared_ptr<Residual> residuals_[2];
};

absl::Span<const uint8_t> BytesOf(const SharedBuffer& buffer) {
  return buffer == nullptr ? absl::Span<const uint8_t>() : buffer->bytes();
}

class DeviceRunnerTest : public testing::Test {
 protected:
  DeviceRunnerTest() : host_(&Scalar(), 1) { EXPECT_THAT(InitLogging("off"), IsOk()); }

  void Start(int num_lanes, uint64_t max_batch_bytes) {
    absl::StatusOr<std::unique_ptr<DeviceRunner>> runner =
        DeviceRunner::Create(&device_, &Scalar(),
                             {.num_lanes = num_lanes,
                              .max_batch_bytes = max_batch_bytes,
                              .on_residual_lost = [this](const absl::Status& status) {
                                EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss));
                                ++num_losses_;
                              }});
    ASSERT_THAT(runner, IsOk());
    runner_ = *std::move(runner);
  }

  // Every `stride`-th of the sample exchanges.
  static std::vector<Pair> SamplePairs(size_t stride) {
    std::vector<Pair> pairs;
    for (Layout layout : {ContiguousLayout(), DealtLayout()}) {
      const auto description = std::make_shared<const JobDescription>(
          JobDescription{.seed = 11, .layout = std::move(layout)});
      for (uint32_t chunk = 0; chunk < description->layout.chunks().size(); ++chunk) {
        const std::vector<Exchange> exchanges = SampleExchanges(description->layout, chunk);
        for (size_t i = 0; i < exchanges.size(); i += stride) {
          pairs.emplace_back(description, chunk, exchanges[i]);
        }
      }
    }
    return pairs;
  }
  static std::vector<Pair> SignPairs(size_t count) {
    const auto description =
        std::make_shared<const JobDescription>(JobDescription{.layout = ContiguousLayout()});
    std::vector<Pair> pairs;
    for (size_t i = 0; i < count; ++i) pairs.emplace_back(description, i % 2, kSigns);
    return pairs;
  }

  // Plays a round on both sides.
  void ExpectSame(const std::vector<Pair>& pairs, uint64_t round) {
    std::vector<ExchangeTask> tasks;
    std::vector<ExchangeTask> same;
    for (const Pair& pair : pairs) {
      std::array<ExchangeTask, 2> both = pair.Tasks(round);
      tasks.push_back(std::move(both[0]));
      same.push_back(std::move(both[1]));
    }
    const auto outcomes = RunAll(*runner_, tasks);
    const auto expected = RunAll(host_, same);
    for (size_t i = 0; i < pairs.size(); ++i) {
      SCOPED_TRACE(ExchangeName(pairs[i].exchange()));
      ASSERT_THAT(outcomes[i], IsOk());
      ASSERT_THAT(expected[i], IsOk());
      EXPECT_EQ(BytesOf(outcomes[i]->payload), BytesOf(expected[i]->payload));
      EXPECT_EQ(outcomes[i]->payload_digest, expected[i]->payload_digest);
      EXPECT_EQ(BytesOf(outcomes[i]->snapshot), BytesOf(expected[i]->snapshot));
      EXPECT_EQ(outcomes[i]->snapshot_digest, expected[i]->snapshot_digest);
      EXPECT_EQ(outcomes[i]->residual_norm, expected[i]->residual_norm);
      EXPECT_EQ(outcomes[i]->place, expected[i]->place);
    }
  }
  // How many launches so many sign rounds take that were submitted while the only lane was busy.
  int LaunchesOfWaiting(size_t num_tasks) {
    const std::vector<Pair> pairs = SignPairs(num_tasks + 1);
    Mutex mutex;
    CondVar changed;
    bool is_held = false;
    bool may_go = false;
    size_t num_left = pairs.size();
    const auto hold = [&](const ExchangeTask&, const absl::StatusOr<ExchangeOutcome>&) {
      const MutexLock lock(&mutex);
      is_held = true;
      --num_left;
      changed.NotifyAll();
      while (!may_go) changed.Wait(&mutex);
    };
    const auto count = [&](const ExchangeTask&, const absl::StatusOr<ExchangeOutcome>& outcome) {
      EXPECT_THAT(outcome, IsOk());
      const MutexLock lock(&mutex);
      --num_left;
      changed.NotifyAll();
    };
    runner_->Submit(pairs[0].Tasks(2)[0], hold);
    {
      const MutexLock lock(&mutex);
      while (!is_held) changed.Wait(&mutex);
    }
    const int launches_before = device_.num_launches();
    for (size_t i = 1; i < pairs.size(); ++i) runner_->Submit(pairs[i].Tasks(2)[0], count);
    const MutexLock lock(&mutex);
    may_go = true;
    changed.NotifyAll();
    while (num_left > 0) changed.Wait(&mutex);
    return device_.num_launches() - launches_before;
  }

  static void ExpectSameResiduals(const std::vector<Pair>& pairs) {
    for (const Pair& pair : pairs) {
      SCOPED_TRACE(ExchangeName(pair.exchange()));
      EXPECT_THAT(*pair.residual(0)->OnHost(),
                  testing::ElementsAreArray(*pair.residual(1)->OnHost()));
    }
  }

  FakeDevice device_;
  HostRunner host_;
  std::atomic<int> num_losses_ = 0;
  std::unique_ptr<DeviceRunner> runner_;
};

TEST_F(DeviceRunnerTest, EveryExchangeHasTheHostsBits) {
  Start(3, 4 << 10);
  const std::vector<Pair> pairs = SamplePairs(1);
  for (uint64_t round = 0; round < 4; ++round) ExpectSame(pairs, round);
  ExpectSameResiduals(pairs);
  EXPECT_GT(device_.num_launches(), 0);
}

TEST_F(DeviceRunnerTest, WhatWaitsGoesInOneLaunch) {
  Start(1, kNoLimit);
  EXPECT_EQ(LaunchesOfWaiting(8), 1);
}

TEST_F(DeviceRunnerTest, ALaunchTakesNoMoreThanADeviceDoes) {
  Start(1, kNoLimit);
  EXPECT_EQ(LaunchesOfWaiting(kMaxDeviceBatch), 1);
  EXPECT_EQ(LaunchesOfWaiting(kMaxDeviceBatch + 1), 2);
}

TEST_F(DeviceRunnerTest, WhatDoesNotFitIsComputedOnTheHost) {
  Start(2, kNoLimit);
  const std::vector<Pair> pairs = SamplePairs(5);
  const uint64_t without_work = device_.allocated_bytes();
  device_.LimitMemory(without_work);
  ExpectSame(pairs, 0);
  EXPECT_EQ(device_.num_launches(), 0);
  device_.LimitMemory(kNoLimit);
  ExpectSame(pairs, 1);
  EXPECT_GT(device_.num_launches(), 0);
  ExpectSameResiduals(pairs);
}

TEST_F(DeviceRunnerTest, ResidualsComeAndGoWhereMemoryIsTight) {
  const std::vector<Pair> pairs = SamplePairs(5);
  for (const uint64_t room : {64 << 10, 1040 << 10, 1100 << 10, 4 << 20}) {
    SCOPED_TRACE(room);
    Start(1, 8 << 10);
    device_.LimitMemory(device_.allocated_bytes() + room);
    for (uint64_t round = 0; round < 3; ++round) ExpectSame(pairs, round);
    ExpectSameResiduals(pairs);
    device_.LimitMemory(kNoLimit);
  }
}

TEST_F(DeviceRunnerTest, AFailedDeviceLosesResidualsAndNothingElse) {
  Start(1, kNoLimit);
  const std::vector<Pair> there = SignPairs(4);
  const std::vector<Pair> here = SamplePairs(5);
  ExpectSame(there, 0);
  device_.Fail("a cosmic ray");
  ExpectSame(here, 0);
  EXPECT_EQ(num_losses_, 0) << "none was needed";
  std::atomic<int> num_done = 0;
  for (const Pair& pair : there) {
    runner_->Submit(pair.Tasks(1)[0], [&](const ExchangeTask&,
                                          const absl::StatusOr<ExchangeOutcome>&) { ++num_done; });
  }
  ExpectSame(here, 1);
  runner_ = nullptr;
  EXPECT_EQ(num_losses_, 1);
  EXPECT_EQ(num_done, 0);
}

// Whenever it fails: what is reported is right.
TEST_F(DeviceRunnerTest, ADeviceThatFailsAtWorkGivesNoWrongResult) {
  Start(2, 1 << 10);
  const std::vector<Pair> pairs = SignPairs(16);
  std::vector<uint64_t> expected[50];
  for (uint64_t round = 0; round < 50; ++round) {
    for (const Pair& pair : pairs) {
      expected[round].push_back(RunExchange(pair.Tasks(round)[1], Scalar())->payload_digest);
    }
  }
  DeviceRunner& runner = *runner_;
  // From here on the device holds every residual.
  std::vector<ExchangeTask> first;
  for (const Pair& pair : pairs) first.push_back(pair.Tasks(0)[0]);
  EXPECT_THAT(RunAll(runner, first), testing::Each(IsOk()));
  // Each pair goes on as long as it gets results.
  std::atomic<int> num_done = 0;
  std::function<void(size_t, uint64_t)> play = [&](size_t i, uint64_t round) {
    if (round == 50) return;
    runner.Submit(pairs[i].Tasks(round)[0],
                  [&, i, round](const ExchangeTask&, absl::StatusOr<ExchangeOutcome> outcome) {
                    EXPECT_THAT(outcome, IsOk());
                    EXPECT_EQ(outcome->payload_digest, expected[round][i]);
                    if (++num_done == 200) device_.Fail("a cosmic ray");
                    play(i, round + 1);
                  });
  };
  for (size_t i = 0; i < pairs.size(); ++i) play(i, 1);
  while (num_losses_ == 0) std::this_thread::yield();
  runner_ = nullptr;
  EXPECT_EQ(num_losses_, 1);
  EXPECT_GE(num_done, 200);
  EXPECT_LT(num_done, 784);
}

}  // namespace
}  // namespace tally
