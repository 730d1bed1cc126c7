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

TEST(PinnedPoolTest, AllOfItIsPinnedAtTheStartAndNothingLater) {
  FakeDevice device;
  const auto pool = std::make_shared<PinnedPool>(&device, 4 * kMiB);
  EXPECT_EQ(device.pinned_bytes(), 4 * kMiB);
  device.LimitPinned(0);
  EXPECT_EQ(Buffer(kMiB, pool).memory(), pool.get());
}

TEST(PinnedPoolTest, BuffersDoNotOverlap) {
  FakeDevice device;
  const auto pool = std::make_shared<PinnedPool>(&device, 4 * kMiB);
  const Buffer first(kMiB - 1, pool);
  const Buffer second(kMiB, pool);
  EXPECT_GE(second.data(), first.data() + first.size());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(second.data()) % 64, 0u);
}

TEST(PinnedPoolTest, BeyondItBuffersComeFromTheHeap) {
  FakeDevice device;
  const auto pool = std::make_shared<PinnedPool>(&device, 2 * kMiB);
  std::vector<Buffer> buffers;
  for (int i = 0; i < 3; ++i) buffers.emplace_back(kMiB, pool);
  EXPECT_EQ(buffers[1].memory(), pool.get());
  EXPECT_EQ(buffers[2].memory(), nullptr);
}

TEST(PinnedPoolTest, WhatComesBackInAnyOrderIsOnePieceAgain) {
  for (const std::vector<size_t>& order :
       std::vector<std::vector<size_t>>{{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}}) {
    FakeDevice device;
    const auto pool = std::make_shared<PinnedPool>(&device, 3 * kMiB);
    std::vector<Buffer> buffers;
    for (int i = 0; i < 3; ++i) buffers.emplace_back(kMiB, pool);
    EXPECT_EQ(pool->free_bytes(), 0u);
    for (const size_t i : order) buffers[i] = Buffer();
    EXPECT_EQ(pool->free_bytes(), 3 * kMiB);
    EXPECT_EQ(Buffer(3 * kMiB, pool).memory(), pool.get());
  }
}

TEST(PinnedPoolTest, IsEmptyIfItCannotBePinned) {
  FakeDevice device;
  device.LimitPinned(kMiB);
  const auto pool = std::make_shared<PinnedPool>(&device, 2 * kMiB);
  EXPECT_EQ(pool->num_bytes(), 0u);
  EXPECT_EQ(Buffer(kMiB / 2, pool).memory(), nullptr);
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

TEST(PinnedPoolTest, BuffersKeepThePool) {
  FakeDevice device;
  auto pool = std::make_shared<PinnedPool>(&device, kMiB);
  auto buffer = std::make_unique<Buffer>(kMiB, pool);
  pool = nullptr;
  EXPECT_EQ(device.pinned_bytes(), kMiB);
  buffer = nullptr;
  EXPECT_EQ(device.pinned_bytes(), 0u);
}

}  // namespace
}  // namespace tally
