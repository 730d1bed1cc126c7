#include "tests/util/live_bytes.h"

#include <memory>
#include <vector>

#include "base/buffer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::Lt;

TEST(LiveBytesTest, CountsWhatIsHeldAndNoLonger) {
  const int64_t before = LiveBytes();
  int64_t during = 0;
  {
    const std::vector<char> plain(10'000);
    const Buffer aligned(20'000);
    const std::unique_ptr<char[]> array(new char[5'000]);
    // Memory that is used, so that the compiler cannot leave its allocation out.
    volatile char* const used = array.get();
    *used = 1;
    during = LiveBytes();
  }
  const int64_t after = LiveBytes();
  EXPECT_THAT(during - before, AllOf(Ge(35'000), Lt(36'000)));
  EXPECT_EQ(after, before);
}

TEST(LiveBytesTest, BelongToWhoeverAllocatedThem) {
  if (!KnowsOwners()) GTEST_SKIP() << "a sanitizer counts what is allocated";
  std::unique_ptr<Buffer> mine;
  std::unique_ptr<Buffer> others;
  {
    const MemoryOwner owner(3);
    mine = std::make_unique<Buffer>(10'000);
    {
      const MemoryOwner another(4);
      others = std::make_unique<Buffer>(20'000);
    }
  }
  EXPECT_THAT(LiveBytesOf(3), AllOf(Ge(10'000), Lt(10'500)));
  EXPECT_THAT(LiveBytesOf(4), AllOf(Ge(20'000), Lt(20'500)));
  mine = nullptr;
  EXPECT_EQ(LiveBytesOf(3), 0);
  EXPECT_GT(LiveBytesOf(4), 0);
}

}  // namespace
}  // namespace tally
