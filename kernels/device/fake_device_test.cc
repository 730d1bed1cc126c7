#include "kernels/device/fake_device.h"

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/lane.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FakeDeviceTest : public testing::Test {
 protected:
  FakeDeviceTest() {
    absl::StatusOr<std::unique_ptr<Lane>> lane = Lane::Create(&device_);
    EXPECT_THAT(lane, IsOk());
    lane_ = *std::move(lane);
  }

  DeviceQueue& queue() { return lane_->queue(); }

  // Spans of the device's memory.
  template <typename T>
  absl::Span<const T> In(const std::vector<T>& host) {
    const absl::Span<const T> device = *lane_->In(absl::MakeConstSpan(host));
    // Sent at once: an argument is evaluated after the queue that it is an argument for.
    queue();
    return device;
  }
  template <typename T>
  absl::Span<T> Out(std::vector<T>& host) {
    return *lane_->Out(absl::MakeSpan(host));
  }

  FakeDevice device_;
  std::unique_ptr<Lane> lane_;
};

TEST_F(FakeDeviceTest, NothingHappensBeforeWait) {
  std::vector<uint8_t> host = {1};
  const absl::Span<uint8_t> memory = *lane_->Scratch<uint8_t>(4);
  ASSERT_THAT(queue().CopyIn(host, memory.data()), IsOk());
  host[0] = 2;
  EXPECT_EQ(memory[0], 0xa5);
  ASSERT_THAT(queue().Wait(), IsOk());
  EXPECT_EQ(memory[0], 2);
}

TEST_F(FakeDeviceTest, WorkIsDoneInOrder) {
  const std::vector<uint8_t> host = {1, 2, 3, 4};
  std::vector<uint8_t> back(4);
  const absl::Span<uint8_t> first = *lane_->Scratch<uint8_t>(4);
  const absl::Span<uint8_t> second = *lane_->Scratch<uint8_t>(4);
  ASSERT_THAT(queue().CopyIn(host, first.data()), IsOk());
  ASSERT_THAT(queue().Copy(first.data(), second.data(), 4), IsOk());
  ASSERT_THAT(queue().Zero(second.data(), 2), IsOk());
  ASSERT_THAT(queue().CopyOut(second.data(), absl::MakeSpan(back)), IsOk());
  ASSERT_THAT(queue().Wait(), IsOk());
  EXPECT_THAT(back, ElementsAre(0, 0, 3, 4));
}

TEST_F(FakeDeviceTest, FreshMemoryIsNoResult) {
  const absl::StatusOr<void*> memory = device_.Allocate(1000);
  const absl::StatusOr<void*> pinned = device_.AllocatePinned(1000);
  ASSERT_THAT(memory, IsOk());
  ASSERT_THAT(pinned, IsOk());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(*memory) % 256, 0u);
  EXPECT_THAT(absl::MakeConstSpan(static_cast<uint8_t*>(*memory), 1000), Each(0xa5));
  EXPECT_THAT(absl::MakeConstSpan(static_cast<uint8_t*>(*pinned), 1000), Each(0xa5));
  device_.Free(*memory, 1000);
  device_.FreePinned(*pinned, 1000);
}

TEST_F(FakeDeviceTest, RefusesMemoryBeyondTheLimits) {
  device_.LimitMemory(100);
  device_.LimitPinned(100);
  const absl::StatusOr<void*> memory = device_.Allocate(60);
  const absl::StatusOr<void*> pinned = device_.AllocatePinned(60);
  ASSERT_THAT(memory, IsOk());
  ASSERT_THAT(pinned, IsOk());
  EXPECT_EQ(device_.allocated_bytes(), 60u);
  EXPECT_EQ(device_.pinned_bytes(), 60u);
  const auto is_refused =
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("60 are in use: the limit is 100"));
  EXPECT_THAT(device_.Allocate(41), is_refused);
  EXPECT_THAT(device_.AllocatePinned(41), is_refused);
  device_.LimitMemory(10);
  EXPECT_THAT(device_.Allocate(1), StatusIs(absl::StatusCode::kResourceExhausted));
  device_.Free(*memory, 60);
  device_.FreePinned(*pinned, 60);
  EXPECT_EQ(device_.allocated_bytes(), 0u);
  EXPECT_EQ(device_.pinned_bytes(), 0u);
}

TEST_F(FakeDeviceTest, HalfOfWhatIsEnqueuedIsDoneWhenItFails) {
  const absl::Span<uint8_t> memory = *lane_->Scratch<uint8_t>(16);
  for (size_t i = 0; i < 16; i += 4) ASSERT_THAT(queue().Zero(memory.data() + i, 4), IsOk());
  device_.Fail("a cosmic ray");
  EXPECT_THAT(queue().Wait(), StatusIs(absl::StatusCode::kUnavailable, "a cosmic ray"));
  EXPECT_THAT(memory.first(8), Each(0));
  EXPECT_THAT(memory.last(8), Each(0xa5));
}

TEST_F(FakeDeviceTest, EverythingFailsAfterItFailed) {
  const absl::Span<float> x = *lane_->Scratch<float>(4);
  EXPECT_THAT(device_.failure(), IsOk());
  device_.Fail("a cosmic ray");
  const auto has_failed = StatusIs(absl::StatusCode::kUnavailable, "a cosmic ray");
  EXPECT_THAT(device_.failure(), has_failed);
  EXPECT_THAT(device_.Allocate(1), has_failed);
  EXPECT_THAT(device_.AllocatePinned(1), has_failed);
  EXPECT_THAT(device_.NewQueue(), has_failed);
  EXPECT_THAT(queue().Zero(x.data(), 4), has_failed);
  EXPECT_THAT(queue().Blend(1, x, 1, x, x), has_failed);
  EXPECT_THAT(queue().Wait(), has_failed);
}

TEST_F(FakeDeviceTest, CountsKernelsAndTheWaitsForThem) {
  std::vector<double> norm(1);
  const absl::Span<const float> x = In(std::vector<float>{1, 2});
  const absl::Span<double> device_norm = Out(norm);
  ASSERT_THAT(queue().Wait(), IsOk());
  EXPECT_EQ(device_.num_waits(), 0);
  ASSERT_THAT(queue().SumOfSquares(x, device_norm.data()), IsOk());
  ASSERT_THAT(queue().SumOfMagnitudes(x, device_norm.data()), IsOk());
  EXPECT_EQ(device_.num_launches(), 0);
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_EQ(device_.num_launches(), 2);
  EXPECT_EQ(device_.num_waits(), 1);
}

TEST_F(FakeDeviceTest, ListsAreReadWhenTheyAreEnqueued) {
  const std::vector<uint8_t> positive = {0xff};
  const std::vector<float> scales = {2};
  std::vector<float> sum(3);
  const absl::Span<float> device_sum = Out(sum);
  {
    std::vector<SignBlock> blocks(2, {.bits = In(positive), .scales = In(scales)});
    std::vector<uint32_t> ends = {3};
    ASSERT_THAT(queue().SumSigns(blocks, ends, {}, device_sum), IsOk());
    blocks.assign(2, SignBlock());
    ends[0] = 0;
  }
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(sum, Each(4));
}

TEST_F(FakeDeviceTest, WritesWhatMayBeWrittenPastTheEndOfBitmaps) {
  const absl::Span<uint8_t> bits = *lane_->Scratch<uint8_t>(8);
  const auto x = In(std::vector<float>(9, 1));
  ASSERT_THAT(queue().PackSigns(x, bits.first(2)), IsOk());
  ASSERT_THAT(queue().Wait(), IsOk());
  EXPECT_THAT(bits, ElementsAre(0xff, 0x01, 0x5a, 0x5a, 0xa5, 0xa5, 0xa5, 0xa5));
}

TEST_F(FakeDeviceTest, AccumulatesWithTheSignsOfTheSum) {
  std::vector<float> sum = {1, -1, 1, -1};
  std::vector<double> norms(1);
  std::vector<uint8_t> bits(1);
  const std::vector<uint32_t> ends = {4};
  const absl::Span<float> device_sum = *lane_->InOut(absl::MakeSpan(sum));
  ASSERT_THAT(queue().Accumulate({.accumulate = {.sum = device_sum,
                                                 .input = In(std::vector<float>{1, -1, -3, 3}),
                                                 .segment_ends = ends,
                                                 .live = In(std::vector<uint8_t>{0b0111}),
                                                 .rule = ScaleRule::kMeanMagnitude,
                                                 .norms = Out(norms)},
                                  .bits = Out(bits)}),
              IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(sum, ElementsAre(2, -2, -2, 0));
  EXPECT_THAT(norms, ElementsAre(6));
  EXPECT_THAT(bits, ElementsAre(0b1001));
}

TEST_F(FakeDeviceTest, MeansTakeOtherFormatsThanTheyGive) {
  // 1, 2 and 3, 4 as bfloat16.
  const std::vector<uint8_t> first = {0x80, 0x3f, 0x00, 0x40};
  const std::vector<uint8_t> second = {0x40, 0x40, 0x80, 0x40};
  std::vector<float> mean(2);
  std::vector<uint8_t> same(4);
  const std::vector<absl::Span<const uint8_t>> inputs = {In(first), In(second)};
  const absl::Span<float> device_mean = Out(mean);
  const absl::Span<uint8_t> bytes(reinterpret_cast<uint8_t*>(device_mean.data()), 8);
  ASSERT_THAT(queue().DenseMeans({{DType::kBFloat16, inputs, 4, DType::kFloat32, bytes},
                                  {DType::kBFloat16, inputs, 4, DType::kBFloat16, Out(same)}}),
              IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(mean, ElementsAre(1, 1.5));
  EXPECT_THAT(same, ElementsAre(0x80, 0x3f, 0xc0, 0x3f));
  EXPECT_EQ(device_.num_launches(), 1);
}

TEST_F(FakeDeviceTest, ConvertsAndCopies) {
  const std::vector<uint8_t> one = {0x80, 0x3f};
  std::vector<uint8_t> same(2);
  std::vector<uint8_t> wider(4);
  std::vector<uint8_t> narrower(2);
  const absl::Span<uint8_t> device_wider = Out(wider);
  ASSERT_THAT(queue().Convert(DType::kBFloat16, In(one), DType::kBFloat16, Out(same)), IsOk());
  ASSERT_THAT(queue().Convert(DType::kBFloat16, In(one), DType::kFloat32, device_wider), IsOk());
  ASSERT_THAT(queue().Convert(DType::kFloat32, device_wider, DType::kFloat16, Out(narrower)),
              IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_EQ(same, one);
  EXPECT_THAT(wider, ElementsAre(0, 0, 0x80, 0x3f));
  EXPECT_THAT(narrower, ElementsAre(0x00, 0x3c));
}

TEST_F(FakeDeviceTest, SelectsWithTheValues) {
  std::vector<uint32_t> indices(2);
  std::vector<float> values(2);
  ASSERT_THAT(queue().SelectLargest(In(std::vector<float>{1, -5, 3, 9}),
                                    In(std::vector<uint8_t>{0b0111}), Out(indices), Out(values)),
              IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(indices, ElementsAre(1, 2));
  EXPECT_THAT(values, ElementsAre(-5, 3));
}

TEST_F(FakeDeviceTest, SparseMeansKeepASingleNegativeZero) {
  std::vector<uint32_t> indices(4);
  std::vector<float> mean(4);
  std::vector<uint32_t> count(1);
  const DeviceSparseBlock blocks[] = {
      {In(std::vector<uint32_t>{1, 5}), In(std::vector<float>{-0.0f, 2})},
      {In(std::vector<uint32_t>{0, 5}), In(std::vector<float>{7, 4})}};
  ASSERT_THAT(queue().SparseMean(blocks, 6, 2, Out(indices), Out(mean), Out(count).data()), IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(count, ElementsAre(3));
  indices.resize(3);
  mean.resize(3);
  EXPECT_THAT(indices, ElementsAre(0, 1, 5));
  EXPECT_THAT(mean, ElementsAre(3.5, 0, 3));
  EXPECT_TRUE(std::signbit(mean[1]));
}

TEST_F(FakeDeviceTest, ElectionsOfOneLaunchKeepTheirPlaces) {
  std::vector<uint8_t> first(1);
  std::vector<uint8_t> second(1);
  const std::vector<absl::Span<const uint8_t>> yes(3, In(std::vector<uint8_t>{0xff}));
  const std::vector<absl::Span<const uint8_t>> no(3, In(std::vector<uint8_t>{0x00}));
  ASSERT_THAT(queue().MajorityVotes({{yes, 8, {}, Out(first)}, {no, 8, {}, Out(second)}}), IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_THAT(first, ElementsAre(0xff));
  EXPECT_THAT(second, ElementsAre(0x00));
  EXPECT_EQ(device_.num_launches(), 1);
}

using FakeDeviceDeathTest = FakeDeviceTest;

TEST_F(FakeDeviceDeathTest, RefusesElementsInTheHostsMemory) {
  std::vector<float> x(4);
  EXPECT_DEATH(queue().Zero(x.data(), 4).IgnoreError(), "elements lie in the device's memory");
}

TEST_F(FakeDeviceDeathTest, RefusesElementsPastTheEnd) {
  const absl::StatusOr<void*> memory = device_.Allocate(6);
  ASSERT_THAT(memory, IsOk());
  EXPECT_THAT(queue().Zero(*memory, 7), IsOk());
  EXPECT_DEATH(queue().Zero(*memory, 9).IgnoreError(), "elements lie in the device's memory");
  ASSERT_THAT(queue().Wait(), IsOk());
  device_.Free(*memory, 6);
}

TEST_F(FakeDeviceDeathTest, RefusesSpansThatAreNotAligned) {
  const absl::Span<uint8_t> bytes = *lane_->Scratch<uint8_t>(8);
  EXPECT_DEATH(queue().Zero(bytes.data() + 1, 4).IgnoreError(), "multiple of 4 bytes");
}

TEST_F(FakeDeviceDeathTest, RefusesArgumentsThatBreakTheRules) {
  const absl::Span<float> x = *lane_->Scratch<float>(4);
  EXPECT_DEATH(
      {
        queue().Blend(1, x, 1, x.first(3), x).IgnoreError();
        queue().Wait().IgnoreError();
      },
      "`y` has 3 values");
}

TEST_F(FakeDeviceDeathTest, NoticesWhatWasWrittenBesideMemory) {
  const absl::StatusOr<void*> memory = device_.Allocate(8);
  ASSERT_THAT(memory, IsOk());
  auto* const past = static_cast<uint8_t*>(*memory) + 8;
  const uint8_t before = std::exchange(*past, uint8_t{1});
  EXPECT_DEATH(device_.Free(*memory, 8), "nothing was written beside");
  *past = before;
  device_.Free(*memory, 8);
}

TEST_F(FakeDeviceDeathTest, RefusesToGoBeforeItsMemory) {
  EXPECT_DEATH(
      {
        FakeDevice device;
        device.Allocate(1).IgnoreError();
      },
      "must outlive its memory");
}

}  // namespace
}  // namespace tally
