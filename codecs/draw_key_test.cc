#include "codecs/draw_key.h"

#include <cmath>
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

// A shared stream would correlate the votes: their mean would be as noisy as one of them.
TEST(DrawKeyTest, FairVotesOfWorkersAverageOut) {
  constexpr uint64_t kSeed = 42;
  constexpr size_t kElements = 1 << 15;
  for (const size_t num_workers : {2, 4, 16}) {
    double sum_of_squares = 0;
    for (size_t i = 0; i < kElements; ++i) {
      int sum = 0;
      for (size_t w = 0; w < num_workers; ++w) {
        const DrawStream draws = {.key = DrawKey(kSeed, DrawRole::kVote, "w-" + std::to_string(w)),
                                  .round = 3};
        sum += draws.WordAt(i) >> 31 == 0 ? 1 : -1;
      }
      const double mean = static_cast<double>(sum) / static_cast<double>(num_workers);
      sum_of_squares += mean * mean;
    }
    // The mean of n independent signs has variance 1 / n, its square a deviation below
    // sqrt(2) / n: five deviations of the average of so many.
    EXPECT_NEAR(sum_of_squares / kElements * static_cast<double>(num_workers), 1.0,
                5 * std::sqrt(2.0 / kElements))
        << num_workers << " workers";
  }
}

}  // namespace
}  // namespace tally
