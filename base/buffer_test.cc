#include "base/buffer.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::SizeIs;

TEST(BufferTest, StartsEmpty) {
  const Buffer buffer;
  EXPECT_TRUE(buffer.empty());
  EXPECT_THAT(buffer.bytes(), SizeIs(0));
}

TEST(BufferTest, OfNoBytesIsEmpty) { EXPECT_TRUE(Buffer(0).empty()); }

TEST(BufferTest, StartsOnA64ByteBoundary) {
  for (const size_t size_bytes : {1, 63, 64, 65, 4096, 1 << 20}) {
    const Buffer buffer(size_bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u) << size_bytes;
    EXPECT_EQ(buffer.size(), size_bytes);
  }
}

TEST(BufferTest, HoldsWhatIsWritten) {
  Buffer buffer(1000);
  std::fill(buffer.bytes().begin(), buffer.bytes().end(), uint8_t{0x5a});
  const Buffer& read_only = buffer;
  EXPECT_THAT(read_only.bytes(), Each(0x5a));
  EXPECT_EQ(read_only.data(), buffer.data());
}

TEST(BufferTest, MoveHandsOverTheMemoryAndLeavesTheSourceEmpty) {
  Buffer source(100);
  const uint8_t* data = source.data();
  Buffer constructed(std::move(source));
  EXPECT_EQ(constructed.data(), data);
  EXPECT_EQ(source.size(), 0u);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(source.data(), nullptr);

  Buffer assigned(7);
  assigned = std::move(constructed);
  EXPECT_EQ(assigned.data(), data);
  EXPECT_EQ(assigned.size(), 100u);
  EXPECT_EQ(constructed.size(), 0u);  // NOLINT(bugprone-use-after-move)
}

}  // namespace
}  // namespace tally
