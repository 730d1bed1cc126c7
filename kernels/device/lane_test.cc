#include "kernels/device/lane.h"

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/fake_device.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr size_t kMiB = size_t{1} << 20;

class LaneTest : public testing::Test {
 protected:
  LaneTest() {
    absl::StatusOr<std::unique_ptr<Lane>> lane = Lane::Create(&device_);
    EXPECT_THAT(lane, IsOk());
    lane_ = *std::move(lane);
  }

  // out = x + y on the device.
  absl::Status Add(const std::vector<float>& x, const std::vector<float>& y,
                   std::vector<float>& out) {
    TALLY_ASSIGN_OR_RETURN(const auto device_x, lane_->In(absl::MakeConstSpan(x)));
    TALLY_ASSIGN_OR_RETURN(const auto device_y, lane_->In(absl::MakeConstSpan(y)));
    TALLY_ASSIGN_OR_RETURN(const auto device_out, lane_->Out(absl::MakeSpan(out)));
    return lane_->queue().Blend(1, device_x, 1, device_y, device_out);
  }

  FakeDevice device_;
  std::unique_ptr<Lane> lane_;
};

TEST_F(LaneTest, CarriesArgumentsThereAndResultsBack) {
  std::vector<float> out(3);
  ASSERT_THAT(Add({1, 2, 3}, {10, 20, 30}, out), IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(out, ElementsAre(11, 22, 33));
}

TEST_F(LaneTest, ArgumentsMayGoAtOnce) {
  std::vector<float> out(1);
  absl::StatusOr<absl::Span<const float>> x;
  {
    const std::vector<float> gone = {7};
    x = lane_->In(absl::MakeConstSpan(gone));
    ASSERT_THAT(x, IsOk());
  }
  const auto device_out = lane_->Out(absl::MakeSpan(out));
  ASSERT_THAT(device_out, IsOk());
  ASSERT_THAT(lane_->queue().Blend(1, *x, 1, *x, *device_out), IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(out, ElementsAre(14));
}

TEST_F(LaneTest, ResultsAreWrittenByFinishAlone) {
  std::vector<float> out(1, -1);
  ASSERT_THAT(Add({1}, {2}, out), IsOk());
  ASSERT_THAT(lane_->queue().Wait(), IsOk());
  EXPECT_THAT(out, ElementsAre(-1));
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(out, ElementsAre(3));
}

TEST_F(LaneTest, InOutGoesBothWays) {
  std::vector<float> x = {1, 2};
  const auto there = lane_->InOut(absl::MakeSpan(x));
  ASSERT_THAT(there, IsOk());
  ASSERT_THAT(lane_->queue().Blend(2, *there, 0, *there, *there), IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(x, ElementsAre(2, 4));
}

TEST_F(LaneTest, InEachKeepsTheOrder) {
  const std::vector<uint8_t> first = {1, 2};
  const std::vector<uint8_t> third = {3};
  const std::vector<absl::Span<const uint8_t>> list = {first, {}, third};
  const auto there = lane_->InEach(list);
  ASSERT_THAT(there, IsOk());
  ASSERT_THAT(lane_->queue().Wait(), IsOk());
  EXPECT_THAT(*there, ElementsAre(ElementsAre(1, 2), IsEmpty(), ElementsAre(3)));
}

TEST_F(LaneTest, CopiesBackFromMemoryOfTheCaller) {
  const absl::StatusOr<void*> memory = device_.Allocate(4);
  ASSERT_THAT(memory, IsOk());
  std::vector<uint8_t> host(4, 9);
  ASSERT_THAT(lane_->queue().Zero(*memory, 4), IsOk());
  ASSERT_THAT(lane_->CopyBack(*memory, absl::MakeSpan(host)), IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(host, Each(0));
  device_.Free(*memory, 4);
}

TEST_F(LaneTest, PinnedMemoryGoesAndComesWithoutStaging) {
  const absl::StatusOr<void*> pinned = device_.AllocatePinned(8);
  ASSERT_THAT(pinned, IsOk());
  const absl::Span<uint8_t> bytes(static_cast<uint8_t*>(*pinned), 8);
  for (uint8_t i = 0; i < 4; ++i) bytes[i] = i;
  const auto there = lane_->InFromPinned(bytes.first(4));
  ASSERT_THAT(there, IsOk());
  ASSERT_THAT(lane_->CopyBackToPinned(there->data(), bytes.last(4)), IsOk());
  EXPECT_EQ(device_.pinned_bytes(), 8u);
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(bytes.last(4), ElementsAre(0, 1, 2, 3));
  device_.FreePinned(*pinned, 8);
}

TEST_F(LaneTest, EmptySpansTakeNothing) {
  EXPECT_THAT(lane_->Scratch<double>(0), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(lane_->In(absl::Span<const float>()), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(lane_->Out(absl::Span<uint32_t>()), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(lane_->InOut(absl::Span<uint8_t>()), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(lane_->InFromPinned({}), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(lane_->CopyBack(nullptr, {}), IsOk());
  EXPECT_THAT(lane_->CopyBackToPinned(nullptr, {}), IsOk());
  EXPECT_THAT(lane_->Finish(), IsOk());
  EXPECT_EQ(device_.allocated_bytes() + device_.pinned_bytes(), 0u);
}

TEST_F(LaneTest, UsesOfOneSizeTakeNoMoreMemory) {
  const std::vector<float> x(kMiB, 1);
  std::vector<float> out(kMiB);
  uint64_t first_bytes = 0;
  for (int use = 0; use < 5; ++use) {
    SCOPED_TRACE(use);
    ASSERT_THAT(Add(x, x, out), IsOk());
    const uint64_t num_bytes = device_.allocated_bytes() + device_.pinned_bytes();
    if (use == 0) first_bytes = num_bytes;
    EXPECT_EQ(num_bytes, first_bytes);
    ASSERT_THAT(lane_->Finish(), IsOk());
  }
}

TEST_F(LaneTest, AfterWantOfMemoryItGoesOn) {
  const std::vector<float> large(kMiB, 1);
  std::vector<float> out(kMiB, -1);
  device_.LimitMemory(6 * kMiB);
  EXPECT_THAT(Add(large, large, out), StatusIs(absl::StatusCode::kResourceExhausted));
  lane_->Abandon();
  EXPECT_THAT(out, Each(-1));
  std::vector<float> small(1);
  ASSERT_THAT(Add({1}, {2}, small), IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(small, ElementsAre(3));
}

TEST_F(LaneTest, AfterWantOfPinnedMemoryItGoesOn) {
  device_.LimitPinned(kMiB);
  const std::vector<float> large(kMiB, 1);
  EXPECT_THAT(lane_->In(absl::MakeConstSpan(large)),
              StatusIs(absl::StatusCode::kResourceExhausted));
  lane_->Abandon();
  std::vector<float> small(1);
  ASSERT_THAT(Add({1}, {2}, small), IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(small, ElementsAre(3));
}

TEST_F(LaneTest, AbandonForgetsResults) {
  std::vector<float> first(1, -1);
  ASSERT_THAT(Add({1}, {2}, first), IsOk());
  lane_->Abandon();
  std::vector<float> second(1);
  ASSERT_THAT(Add({3}, {4}, second), IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(first, ElementsAre(-1));
  EXPECT_THAT(second, ElementsAre(7));
}

TEST_F(LaneTest, WritesNothingIfTheDeviceFails) {
  std::vector<float> out(1, -1);
  ASSERT_THAT(Add({1}, {2}, out), IsOk());
  device_.Fail("a cosmic ray");
  EXPECT_THAT(lane_->Finish(), StatusIs(absl::StatusCode::kUnavailable, "a cosmic ray"));
  EXPECT_THAT(out, ElementsAre(-1));
  EXPECT_THAT(Add({1}, {2}, out), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(LaneTest, GivesAllMemoryBackWhenItGoes) {
  std::vector<float> out(1);
  ASSERT_THAT(Add({1}, {2}, out), IsOk());
  lane_.reset();
  EXPECT_EQ(device_.allocated_bytes() + device_.pinned_bytes(), 0u);
}

TEST(LaneCreateTest, FailsOnADeviceThatHas) {
  FakeDevice device;
  device.Fail("a cosmic ray");
  EXPECT_THAT(Lane::Create(&device), StatusIs(absl::StatusCode::kUnavailable, "a cosmic ray"));
}

TEST(LanePoolTest, TakesALaneThatWasGivenBack) {
  FakeDevice device;
  LanePool pool(&device, 2);
  const Lane* first = nullptr;
  {
    const absl::StatusOr<LanePool::Lease> lease = pool.Take();
    ASSERT_THAT(lease, IsOk());
    first = &**lease;
  }
  const absl::StatusOr<LanePool::Lease> lease = pool.Take();
  ASSERT_THAT(lease, IsOk());
  EXPECT_EQ(&**lease, first);
}

TEST(LanePoolTest, GivesDifferentLanesToThoseAtOnce) {
  FakeDevice device;
  LanePool pool(&device, 2);
  const absl::StatusOr<LanePool::Lease> first = pool.Take();
  const absl::StatusOr<LanePool::Lease> second = pool.Take();
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  EXPECT_NE(&**first, &**second);
}

TEST(LanePoolTest, WhoFindsNoneWaitsForOne) {
  FakeDevice device;
  LanePool pool(&device, 1);
  absl::StatusOr<LanePool::Lease> held = pool.Take();
  ASSERT_THAT(held, IsOk());
  const Lane* const lane = &**held;
  std::atomic<const Lane*> taken = nullptr;
  std::thread waiter([&pool, &taken] {
    const absl::StatusOr<LanePool::Lease> lease = pool.Take();
    if (lease.ok()) taken = &**lease;
  });
  EXPECT_EQ(taken, nullptr);
  held = absl::CancelledError("given back");
  waiter.join();
  EXPECT_EQ(taken, lane);
}

TEST(LanePoolTest, NoMoreThanItsLanesAreOutAtOnce) {
  constexpr int kLanes = 3;
  FakeDevice device;
  LanePool pool(&device, kLanes);
  std::atomic<int> num_out = 0;
  std::atomic<int> most_out = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        const absl::StatusOr<LanePool::Lease> lease = pool.Take();
        const int now = ++num_out;
        for (int most = most_out; now > most && !most_out.compare_exchange_weak(most, now);) {
        }
        std::this_thread::yield();
        --num_out;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most_out, kLanes);
}

TEST(LanePoolTest, AFailedCreationLeavesThePlaceFree) {
  FakeDevice device;
  LanePool pool(&device, 1);
  device.Fail("a cosmic ray");
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(pool.Take(), StatusIs(absl::StatusCode::kUnavailable, "a cosmic ray"));
  }
}

}  // namespace
}  // namespace tally
