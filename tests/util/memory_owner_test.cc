#include "tests/util/memory_owner.h"

#include <cstdint>
#include <memory>
#include <string>

#include "base/buffer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

// Under a sanitizer nobody owns anything.
bool Counts() {
  std::unique_ptr<int> value;
  {
    const MemoryOwner owner(15);
    value = std::make_unique<int>(0);
  }
  return OwnedBytes(15) > 0;
}

TEST(MemoryOwnerTest, OwnsWhatIsAllocatedMeanwhileUntilItIsFreed) {
  if (!Counts()) GTEST_SKIP() << "a sanitizer counts";
  std::unique_ptr<char[]> bytes;
  std::unique_ptr<Buffer> aligned;
  {
    const MemoryOwner owner(3);
    bytes = std::make_unique<char[]>(1000);
    {
      const MemoryOwner another(4);
      aligned = std::make_unique<Buffer>(5000);
    }
  }
  const std::string long_text(2000, 'x');
  EXPECT_EQ(OwnedBytes(3), 1000);
  EXPECT_THAT(OwnedBytes(4), testing::AllOf(testing::Ge(5000), testing::Le(5100)));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(aligned->data()) % 64, 0u);
  bytes = nullptr;
  aligned = nullptr;
  EXPECT_EQ(OwnedBytes(3), 0);
  EXPECT_EQ(OwnedBytes(4), 0);
}

}  // namespace
}  // namespace tally
