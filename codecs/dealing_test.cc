#include "codecs/dealing.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using testing::Each;
using testing::ElementsAreArray;
using testing::FieldsAre;

struct Case {
  uint64_t num_elements;
  uint32_t num_groups;
};

// One group, as many groups as blocks, whole and incomplete last stripes, whole and short last
// blocks.
constexpr Case kCases[] = {{1, 1},        {64, 1},          {65, 1},     {65, 2},     {1000, 16},
                           {64 * 40, 40}, {64 * 40, 20},    {2561, 41},  {2561, 20},  {12345, 7},
                           {100000, 3},   {64 * 1000, 305}, {99999, 64}, {99937, 64}, {99936, 64}};

template <typename Function>
void ForEachCase(Function function) {
  for (const Case& c : kCases) {
    for (const uint64_t seed : {0, 1, 77}) {
      SCOPED_TRACE(
          absl::StrCat(c.num_elements, " elements, ", c.num_groups, " groups, seed ", seed));
      function(c, Dealing(c.num_elements, {.num_groups = c.num_groups, .seed = seed}));
    }
  }
}

uint64_t NumBlocks(uint64_t num_elements) {
  return (num_elements + kDealtBlockElements - 1) / kDealtBlockElements;
}

std::vector<float> Numbers(size_t size) {
  std::vector<float> x(size);
  std::iota(x.begin(), x.end(), 1.0f);
  return x;
}

TEST(DealingTest, VersionOneIsWhatItWas) {
  // Every worker and aggregator of a job must agree: these numbers may change with the version
  // only.
  EXPECT_EQ(kDealingHashVersion, 1u);
  const Dealing dealing(uint64_t{1} << 28, {.num_groups = 20, .seed = 42});
  EXPECT_THAT(dealing.PositionOf(0), FieldsAre(14, 0));
  EXPECT_THAT(dealing.PositionOf(1), FieldsAre(15, 0));
  EXPECT_THAT(dealing.PositionOf(19), FieldsAre(13, 0));
  EXPECT_THAT(dealing.PositionOf(20), FieldsAre(3, 1));
  EXPECT_THAT(dealing.PositionOf(119), FieldsAre(16, 5));
  EXPECT_THAT(dealing.PositionOf(2469127), FieldsAre(5, 123456));
}

TEST(DealingTest, EveryElementIsInExactlyOneGroup) {
  ForEachCase([](const Case& c, const Dealing& dealing) {
    std::vector<int> times(c.num_elements);
    for (uint32_t group = 0; group < c.num_groups; ++group) {
      for (uint64_t i = 0; i < dealing.num_elements(group); ++i) {
        const uint64_t element = dealing.ElementOf(group, i);
        ASSERT_LT(element, c.num_elements);
        ++times[element];
      }
    }
    EXPECT_THAT(times, Each(1));
  });
}

TEST(DealingTest, GroupsKeepTheOrderOfTheVector) {
  ForEachCase([](const Case& c, const Dealing& dealing) {
    for (uint32_t group = 0; group < c.num_groups; ++group) {
      for (uint64_t i = 1; i < dealing.num_elements(group); ++i) {
        ASSERT_LT(dealing.ElementOf(group, i - 1), dealing.ElementOf(group, i));
      }
    }
  });
}

TEST(DealingTest, SizesDifferByAtMostOneBlock) {
  ForEachCase([](const Case& c, const Dealing& dealing) {
    std::vector<uint64_t> sizes;
    for (uint32_t group = 0; group < c.num_groups; ++group) {
      sizes.push_back(dealing.num_elements(group));
    }
    const auto [smallest, largest] = std::minmax_element(sizes.begin(), sizes.end());
    EXPECT_GE(*smallest, 1u);
    EXPECT_LE(*largest - *smallest, kDealtBlockElements);
  });
}

TEST(DealingTest, PositionOfInvertsBlockOf) {
  ForEachCase([](const Case& c, const Dealing& dealing) {
    for (uint64_t block = 0; block < NumBlocks(c.num_elements); ++block) {
      const Dealing::Position position = dealing.PositionOf(block);
      ASSERT_LT(position.group, c.num_groups);
      ASSERT_EQ(dealing.BlockOf(position.group, position.block), block);
    }
  });
}

TEST(DealingTest, BlocksOfOneStripePart) {
  const Dealing dealing(64 * 2000, {.num_groups = 20, .seed = 3});
  for (uint64_t first = 0; first < 2000; first += 20) {
    std::set<uint32_t> groups;
    for (uint64_t block = first; block < first + 20; ++block) {
      groups.insert(dealing.PositionOf(block).group);
    }
    EXPECT_EQ(groups.size(), 20u);
  }
}

TEST(DealingTest, WhatRecursEveryStripeSpreadsOverAllGroups) {
  // 20,000 stripes: 1,000 in each group, of which the deviation is 31; the bound is five of them.
  // So no period in a vector, such as the rows of an embedding, falls on a few groups.
  const Dealing dealing(64 * 20 * 20000, {.num_groups = 20, .seed = 3});
  std::vector<int> counts(20);
  int repeats = 0;
  for (uint64_t stripe = 0; stripe < 20000; ++stripe) {
    const uint32_t group = dealing.PositionOf(stripe * 20).group;
    ++counts[group];
    if (stripe > 0 && dealing.PositionOf((stripe - 1) * 20).group == group) ++repeats;
  }
  for (const int count : counts) EXPECT_NEAR(count, 1000, 155);
  EXPECT_NEAR(repeats, 1000, 155);
}

TEST(DealingTest, SeedsDealDifferently) {
  const Dealing first(64 * 20 * 1000, {.num_groups = 20, .seed = 3});
  const Dealing second(64 * 20 * 1000, {.num_groups = 20, .seed = 4});
  int equal = 0;
  for (uint64_t stripe = 0; stripe < 1000; ++stripe) {
    if (first.PositionOf(stripe * 20).group == second.PositionOf(stripe * 20).group) ++equal;
  }
  EXPECT_NEAR(equal, 50, 35);  // five deviations
}

TEST(DealingTest, OneGroupHoldsTheVectorAsItIs) {
  const std::vector<float> flat = Numbers(1000);
  const Dealing dealing(1000, {.num_groups = 1, .seed = 5});
  EXPECT_EQ(dealing.num_elements(0), 1000u);
  std::vector<float> group(1000);
  dealing.Gather(0, 0, flat, absl::MakeSpan(group));
  EXPECT_EQ(group, flat);
}

TEST(DealingTest, GatherTakesTheElementsOfTheGroup) {
  ForEachCase([](const Case& c, const Dealing& dealing) {
    const std::vector<float> flat = Numbers(c.num_elements);
    for (uint32_t group = 0; group < c.num_groups; ++group) {
      std::vector<float> expected;
      for (uint64_t i = 0; i < dealing.num_elements(group); ++i) {
        expected.push_back(flat[dealing.ElementOf(group, i)]);
      }
      std::vector<float> actual(expected.size());
      dealing.Gather(group, 0, flat, absl::MakeSpan(actual));
      ASSERT_THAT(actual, ElementsAreArray(expected));
    }
  });
}

TEST(DealingTest, ScatterPutsBackWhatGatherTookPieceByPiece) {
  ForEachCase([](const Case& c, const Dealing& dealing) {
    const std::vector<float> flat = Numbers(c.num_elements);
    std::vector<float> copy(flat.size());
    for (uint32_t group = 0; group < c.num_groups; ++group) {
      const uint64_t size = dealing.num_elements(group);
      for (uint64_t begin = 0; begin < size; begin += 3 * kDealtBlockElements) {
        std::vector<float> piece(std::min<uint64_t>(3 * kDealtBlockElements, size - begin));
        dealing.Gather(group, begin, flat, absl::MakeSpan(piece));
        dealing.Scatter(group, begin, piece, absl::MakeSpan(copy));
      }
    }
    EXPECT_EQ(copy, flat);
  });
}

TEST(DealingTest, ScatterTouchesNothingElse) {
  const Dealing dealing(1000, {.num_groups = 4, .seed = 6});
  std::vector<float> flat(1000, 7.0f);
  dealing.Scatter(2, 64, std::vector<float>(64, 0.0f), absl::MakeSpan(flat));
  for (uint64_t i = 0; i < 1000; ++i) {
    const bool is_written = i / kDealtBlockElements == dealing.BlockOf(2, 1);
    EXPECT_EQ(flat[i], is_written ? 0.0f : 7.0f) << "element " << i;
  }
}

}  // namespace
}  // namespace tally
