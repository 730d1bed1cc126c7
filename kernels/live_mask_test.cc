#include "kernels/live_mask.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"

namespace tally {
namespace {

TEST(CountLiveTest, CountsBitsOfAnyRange) {
  std::vector<uint8_t> live(20);
  for (size_t i = 0; i < 160; i += 3) live[i / 8] |= static_cast<uint8_t>(1 << (i % 8));
  for (uint64_t begin = 0; begin <= 160; ++begin) {
    uint64_t expected = 0;
    for (uint64_t end = begin; end <= 160; ++end) {
      EXPECT_EQ(CountLive(live, begin, end), expected) << begin << " to " << end;
      if (end % 3 == 0) ++expected;
    }
  }
}

TEST(CountLiveTest, WithoutAMaskEverythingLives) { EXPECT_EQ(CountLive({}, 3, 70), 67u); }

}  // namespace
}  // namespace tally
