#include "aggregator/device_batch.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "aggregator/job_description.h"
#include "aggregator/residual.h"
#include "base/buffer.h"
#include "codecs/sample_exchanges.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/fake_device.h"
#include "kernels/device/pinned_pool.h"
#include "kernels/host_backends.h"
#include "tests/util/exchange_tasks.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAreArray;

const Exchange kSigns = {
    SignExchange{ScaleRule::kRootMeanSquare, {ScaleGranularity::Unit::kBlock, 256}}};

class DeviceBatchTest : public testing::Test {
 protected:
  DeviceBatchTest()
      : description_(std::make_shared<const JobDescription>(
            JobDescription{.seed = 7, .layout = ContiguousLayout()})) {
    absl::StatusOr<std::unique_ptr<Lane>> lane = Lane::Create(&device_);
    EXPECT_THAT(lane, IsOk());
    lane_ = *std::move(lane);
  }

  // Tasks over chunks 0 and 1 by turns, with residuals if they are of signs.
  std::vector<ExchangeTask> Tasks(const Exchange& exchange, size_t count) const {
    std::vector<ExchangeTask> tasks;
    for (size_t i = 0; i < count; ++i) {
      const auto chunk = static_cast<uint32_t>(i % 2);
      ExchangeTask& task = tasks.emplace_back(RandomTask(description_, chunk, exchange, 3, i));
      if (absl::holds_alternative<SignExchange>(exchange.kind)) {
        const size_t num_elements = description_->layout.chunks()[chunk].num_elements;
        task.residual = std::make_shared<Residual>(std::vector<float>(num_elements, 0.25f));
      }
    }
    return tasks;
  }

  absl::StatusOr<std::vector<ExchangeOutcome>> Run(const std::vector<ExchangeTask>& tasks) {
    std::vector<const ExchangeTask*> pointers;
    for (const ExchangeTask& task : tasks) pointers.push_back(&task);
    return RunOnDevice(pointers, *lane_, *HostBackends().front(), nullptr);
  }

  static std::vector<float> ValuesOf(const ExchangeTask& task) {
    const absl::StatusOr<absl::Span<float>> values = task.residual->OnHost();
    EXPECT_THAT(values, IsOk());
    return {values->begin(), values->end()};
  }

  FakeDevice device_;
  std::shared_ptr<const JobDescription> description_;
  std::unique_ptr<Lane> lane_;
};

TEST_F(DeviceBatchTest, ManyExchangesAreOneLaunchAndOneWait) {
  for (const Exchange& exchange :
       {kSigns, Exchange{DenseExchange{}}, Exchange{VoteExchange{VoteResult::kDrawn}},
        Exchange{VoteExchange{VoteResult::kMajority}},
        Exchange{VoteExchange{VoteResult::kCounts}}}) {
    SCOPED_TRACE(ExchangeName(exchange));
    const std::vector<ExchangeTask> tasks = Tasks(exchange, 8);
    for (const ExchangeTask& task : tasks) {
      if (task.residual == nullptr) continue;
      ASSERT_THAT(task.residual->OnDevice(*lane_), IsOk());
    }
    ASSERT_THAT(lane_->Finish(), IsOk());
    const int launches_before = device_.num_launches();
    const int waits_before = device_.num_waits();
    ASSERT_THAT(Run(tasks), IsOk());
    EXPECT_EQ(device_.num_launches() - launches_before, 1);
    EXPECT_EQ(device_.num_waits() - waits_before, 1);
  }
}

TEST_F(DeviceBatchTest, ResidualsOfSignsStayThere) {
  const std::vector<ExchangeTask> tasks = Tasks(kSigns, 2);
  ASSERT_THAT(Run(tasks), IsOk());
  for (const ExchangeTask& task : tasks) EXPECT_TRUE(task.residual->is_on_device());
}

TEST_F(DeviceBatchTest, ASnapshotIsTakenWhereTheResidualLies) {
  std::vector<ExchangeTask> tasks = Tasks({DenseExchange{}}, 2);
  for (ExchangeTask& task : tasks) {
    task.snapshot_of = std::make_shared<Residual>(std::vector<float>{3, 4});
  }
  ASSERT_THAT(tasks[0].snapshot_of->OnDevice(*lane_), IsOk());
  const auto outcomes = Run(tasks);
  ASSERT_THAT(outcomes, IsOk());
  EXPECT_TRUE(tasks[0].snapshot_of->is_on_device());
  EXPECT_FALSE(tasks[1].snapshot_of->is_on_device());
  for (const ExchangeOutcome& outcome : *outcomes) EXPECT_EQ(outcome.residual_norm, 5);
  EXPECT_THAT((*outcomes)[0].snapshot->bytes(), ElementsAreArray((*outcomes)[1].snapshot->bytes()));
}

TEST_F(DeviceBatchTest, PinnedPayloadsAreNotStaged) {
  const auto pool = std::make_shared<PinnedPool>(&device_, 1 << 20, /*smallest_bytes=*/1);
  // Dense: signs have masks, which are staged.
  std::vector<ExchangeTask> tasks = Tasks({DenseExchange{}}, 4);
  std::vector<const ExchangeTask*> pointers;
  for (ExchangeTask& task : tasks) {
    for (SharedBuffer& payload : task.payloads) {
      Buffer pinned(payload->size(), pool);
      std::copy(payload->bytes().begin(), payload->bytes().end(), pinned.data());
      payload = std::make_shared<const Buffer>(std::move(pinned));
    }
    pointers.push_back(&task);
  }
  const uint64_t pinned_before = device_.pinned_bytes();
  const auto outcomes = RunOnDevice(pointers, *lane_, *HostBackends().front(), pool);
  EXPECT_EQ(device_.pinned_bytes(), pinned_before) << "the lane has no staging memory";
  ASSERT_THAT(outcomes, IsOk());
  const auto expected = Run(Tasks({DenseExchange{}}, 4));
  ASSERT_THAT(expected, IsOk());
  for (size_t i = 0; i < outcomes->size(); ++i) {
    EXPECT_EQ((*outcomes)[i].payload->memory(), pool.get());
    EXPECT_THAT((*outcomes)[i].payload->bytes(), ElementsAreArray((*expected)[i].payload->bytes()));
  }
}

TEST_F(DeviceBatchTest, ResidualsOfABatchThatFailedAreLost) {
  const std::vector<ExchangeTask> tasks = Tasks(kSigns, 2);
  ASSERT_THAT(Run(tasks), IsOk());
  device_.Fail("a cosmic ray");
  EXPECT_THAT(Run(tasks), StatusIs(absl::StatusCode::kUnavailable));
  for (const ExchangeTask& task : tasks) {
    EXPECT_THAT(task.residual->OnDevice(*lane_), StatusIs(absl::StatusCode::kDataLoss));
  }
}

TEST_F(DeviceBatchTest, WithoutRoomNothingHasTakenPlace) {
  const uint64_t begin = device_.allocated_bytes();
  ASSERT_THAT(Run(Tasks(kSigns, 4)), IsOk());
  const std::vector<ExchangeTask> tasks = Tasks(kSigns, 4);
  ASSERT_THAT(Run(tasks), IsOk());
  const uint64_t end = device_.allocated_bytes();
  // With every limit another allocation is the first to be refused.
  for (uint64_t i = 0; i < 16; ++i) {
    SCOPED_TRACE(i);
    FakeDevice device;
    absl::StatusOr<std::unique_ptr<Lane>> lane = Lane::Create(&device);
    ASSERT_THAT(lane, IsOk());
    device.LimitMemory(begin + (end - begin) * i / 16);
    const std::vector<ExchangeTask> others = Tasks(kSigns, 4);
    std::vector<const ExchangeTask*> pointers;
    for (const ExchangeTask& task : others) pointers.push_back(&task);
    EXPECT_THAT(RunOnDevice(pointers, **lane, *HostBackends().front(), nullptr),
                StatusIs(absl::StatusCode::kResourceExhausted));
    device.LimitMemory(~uint64_t{0});
    for (const ExchangeTask& task : others) EXPECT_THAT(ValuesOf(task), testing::Each(0.25f));
  }
}

TEST_F(DeviceBatchTest, ZeroingComesAgainWithTheNextTry) {
  Exchange zeroing = kSigns;
  absl::get<SignExchange>(zeroing.kind).zero_residual = true;
  const std::vector<ExchangeTask> tasks = Tasks(zeroing, 1);
  std::vector<ExchangeTask> same = Tasks(zeroing, 1);
  const auto outcomes = Run(tasks);
  ASSERT_THAT(outcomes, IsOk());
  const auto expected = RunExchange(same[0], *HostBackends().front());
  ASSERT_THAT(expected, IsOk());
  EXPECT_EQ((*outcomes)[0].payload_digest, expected->payload_digest);
  EXPECT_EQ(ValuesOf(tasks[0]), ValuesOf(same[0]));
}

TEST_F(DeviceBatchTest, AFailedDeviceLosesWhatItHolds) {
  const std::vector<ExchangeTask> there = Tasks(kSigns, 1);
  ASSERT_THAT(Run(there), IsOk());
  const std::vector<ExchangeTask> here = Tasks(kSigns, 1);
  device_.Fail("a cosmic ray");
  EXPECT_THAT(Run(there), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Run(here), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(there[0].residual->OnHost(), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(ValuesOf(here[0]), testing::Each(0.25f));
}

TEST_F(DeviceBatchTest, APayloadOfAnotherSizeIsOurBug) {
  for (const Exchange& exchange : {kSigns, Exchange{SparseExchange{4}}}) {
    SCOPED_TRACE(ExchangeName(exchange));
    std::vector<ExchangeTask> tasks = Tasks(exchange, 1);
    tasks[0].payloads[1] = std::make_shared<const Buffer>(size_t{0});
    EXPECT_THAT(Run(tasks), StatusIs(absl::StatusCode::kInternal));
  }
}

TEST(ShareLaunchTest, OnlyExchangesOfOneKernelDo) {
  const Exchange drawn = {VoteExchange{VoteResult::kDrawn}};
  const Exchange counts = {VoteExchange{VoteResult::kCounts}};
  EXPECT_TRUE(ShareLaunch(drawn, drawn));
  EXPECT_FALSE(ShareLaunch(drawn, counts));
  EXPECT_FALSE(ShareLaunch(drawn, kSigns));
  EXPECT_TRUE(ShareLaunch({DenseExchange{}}, {ValuesExchange{.dtype = DType::kFloat16}}));
  EXPECT_FALSE(HasDeviceKernels({SignRelayExchange{}}));
}

}  // namespace
}  // namespace tally
