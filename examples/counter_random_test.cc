#include "examples/counter_random.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::ElementsAreArray;
using ::testing::Lt;
using ::testing::Not;

TEST(RandomBitsTest, EveryArgumentCounts) {
  absl::flat_hash_set<uint64_t> draws;
  for (uint64_t a = 0; a < 4; ++a) {
    draws.insert(RandomBits(a, DrawPurpose::kBatch, 9, 9, 9));
    draws.insert(RandomBits(9, DrawPurpose::kBatch, a, 9, 9));
    draws.insert(RandomBits(9, DrawPurpose::kBatch, 9, a, 9));
    draws.insert(RandomBits(9, DrawPurpose::kBatch, 9, 9, a));
  }
  draws.insert(RandomBits(9, DrawPurpose::kInitialParameters, 9, 9, 9));
  draws.insert(RandomBits(9, DrawPurpose::kArrivalDelay, 9, 9, 9));
  EXPECT_EQ(draws.size(), 18u);
}

// Pinned: a change would silently change every run that somebody wants to repeat.
TEST(RandomBitsTest, DrawsStayTheSame) {
  EXPECT_EQ(RandomBits(0, DrawPurpose::kBatch, 0, 0, 0), 12494745583851419846u);
  EXPECT_EQ(RandomBits(1, DrawPurpose::kBatch, 2, 3, 4), 8835188125546739308u);
}

// Each of 64 bits over 4,096 draws is 1 in half of them, give or take 5 standard deviations of 32.
TEST(RandomBitsTest, EveryBitIsFair) {
  std::vector<int> ones(64);
  for (uint64_t i = 0; i < 4096; ++i) {
    const uint64_t bits = RandomBits(7, DrawPurpose::kBatch, 0, 0, i);
    for (size_t b = 0; b < 64; ++b) ones[b] += static_cast<int>(bits >> b & 1);
  }
  EXPECT_THAT(ones, Each(testing::AllOf(testing::Ge(2048 - 160), testing::Le(2048 + 160))));
}

TEST(RandomBelowTest, CoversTheRangeAndNoMore) {
  EXPECT_EQ(RandomBelow(1, ~uint64_t{0}), 0u);
  EXPECT_EQ(RandomBelow(10, 0), 0u);
  EXPECT_EQ(RandomBelow(10, ~uint64_t{0}), 9u);
  EXPECT_EQ(RandomBelow(2, uint64_t{1} << 63), 1u);
}

// 10,000 draws: the mean is off by at most 5 / sqrt(10,000) standard deviations, the variance,
// whose own standard deviation is below 1 / sqrt(10,000), by at most 5 %.
TEST(FillRandomTest, HasTheMeanAndDeviationAskedFor) {
  std::vector<float> values(10'000);
  FillRandom(3, 1, 0.5f, absl::MakeSpan(values));
  double sum = 0;
  double squares = 0;
  for (const float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  EXPECT_NEAR(sum / 10'000, 0, 0.05 * 0.5);
  EXPECT_NEAR(squares / 10'000, 0.25, 0.05 * 0.25);
  for (float& value : values) value = std::abs(value);
  EXPECT_THAT(values, Each(Lt(0.867f)));
}

TEST(FillRandomTest, StreamsDiffer) {
  std::vector<float> first(8);
  std::vector<float> second(8);
  FillRandom(3, 1, 0.5f, absl::MakeSpan(first));
  FillRandom(3, 2, 0.5f, absl::MakeSpan(second));
  EXPECT_THAT(first, Not(ElementsAreArray(second)));
}

}  // namespace
}  // namespace tally
