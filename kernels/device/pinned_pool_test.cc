#include "kernels/device/pinned_pool.h"

#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/fake_device.h"

namespace tally {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

TEST(PinnedPoolTest, BuffersLieInPinnedMemory) {
  FakeDevice device;
  const auto pool = std::make_shared<PinnedPool>(&device, 4 * kMiB);
  const Buffer buffer(kMiB, pool);
  EXPECT_EQ(buffer.memory(), pool.get());
  EXPECT_EQ(device.pinned_bytes(), kMiB);
}

TEST(PinnedPoolTest, MemoryThatComesBackIsUsedAgain) {
  FakeDevice device;
  const auto pool = std::make_shared<PinnedPool>(&device, 4 * kMiB);
  for (int i = 0; i < 10; ++i) Buffer(kMiB - 1, pool);
  EXPECT_EQ(pool->pinned_bytes(), kMiB);
}

TEST(PinnedPoolTest, BeyondTheBoundBuffersComeFromTheHeap) {
  FakeDevice device;
  const auto pool = std::make_shared<PinnedPool>(&device, 2 * kMiB);
  std::vector<Buffer> buffers;
  for (int i = 0; i < 3; ++i) buffers.emplace_back(kMiB, pool);
  EXPECT_EQ(buffers[1].memory(), pool.get());
  EXPECT_EQ(buffers[2].memory(), nullptr);
  EXPECT_EQ(pool->pinned_bytes(), 2 * kMiB);
}

TEST(PinnedPoolTest, MemoryOfOtherSizesMakesRoom) {
  FakeDevice device;
  const auto pool = std::make_shared<PinnedPool>(&device, 2 * kMiB);
  {
    const Buffer first(kMiB, pool);
    const Buffer second(kMiB, pool);
  }
  const Buffer large(2 * kMiB, pool);
  EXPECT_EQ(large.memory(), pool.get());
  EXPECT_EQ(device.pinned_bytes(), 2 * kMiB);
}

TEST(PinnedPoolTest, WhatCannotBePinnedComesFromTheHeap) {
  FakeDevice device;
  device.LimitPinned(kMiB);
  const auto pool = std::make_shared<PinnedPool>(&device, 4 * kMiB);
  EXPECT_EQ(Buffer(2 * kMiB, pool).memory(), nullptr);
}

TEST(PinnedPoolTest, SmallBuffersComeFromTheHeap) {
  FakeDevice device;
  const auto pool = std::make_shared<PinnedPool>(&device, 4 * kMiB);
  EXPECT_EQ(Buffer(100, pool).memory(), nullptr);
}

TEST(PinnedPoolTest, ABufferThatMovesTakesItsMemoryAlong) {
  FakeDevice device;
  const auto pool = std::make_shared<PinnedPool>(&device, 4 * kMiB);
  Buffer buffer(kMiB, pool);
  const Buffer other = std::move(buffer);
  EXPECT_EQ(other.memory(), pool.get());
  EXPECT_EQ(other.size(), kMiB);
}

}  // namespace
}  // namespace tally
