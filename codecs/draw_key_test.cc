#include "codecs/draw_key.h"

#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "base/digest.h"
#include "base/philox.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

TEST(DrawKeyTest, IsTheDigestOfSeedRoleAndWorker) {
  EXPECT_EQ(DrawKey(0x0102030405060708, DrawRole::kVote, "w-1"),
            Digest64(absl::string_view("\x08\x07\x06\x05\x04\x03\x02\x01\x01w-1", 12)));
  EXPECT_EQ(DrawKey(42, DrawRole::kResult, ""),
            Digest64(absl::string_view("\x2a\0\0\0\0\0\0\0\x02", 9)));
}

// docs/wire-format.md quotes these numbers: a run is drawn with them for ever.
TEST(DrawKeyTest, StaysAsItIs) {
  EXPECT_EQ(DrawKey(42, DrawRole::kVote, "w-1"), 0xfb4aecadb553ae42);
  EXPECT_EQ(DrawKey(42, DrawRole::kVote, "w-2"), 0xc523d595ea89d2d7);
  EXPECT_EQ(DrawKey(42, DrawRole::kResult, ""), 0xaf0b6b163b60e9c1);
  const DrawStream draws = {.key = DrawKey(42, DrawRole::kVote, "w-1"), .round = 7};
  EXPECT_EQ(draws.WordAt(0), 0x67b87632);
  EXPECT_EQ(draws.WordAt(5), 0x20589a4e);
}

TEST(DrawKeyTest, SeedsRolesAndWorkersHaveKeysOfTheirOwn) {
  std::set<uint64_t> keys;
  size_t num_keys = 0;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32, ~uint64_t{0}}) {
    for (const DrawRole role : {DrawRole::kVote, DrawRole::kResult}) {
      for (const std::string& worker : {std::string(), std::string("w"), std::string("w-1"),
                                        std::string("w-10"), std::string("\1w", 2)}) {
        keys.insert(DrawKey(seed, role, worker));
        ++num_keys;
      }
    }
  }
  EXPECT_EQ(keys.size(), num_keys);
}

}  // namespace
}  // namespace tally
