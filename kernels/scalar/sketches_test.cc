#include "kernels/scalar/sketches.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/sketch_hash.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::FieldsAre;
using testing::FloatEq;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kSubnormal = std::numeric_limits<float>::denorm_min();
constexpr uint64_t kKey = 77;

// One row in which all runs meet.
constexpr SketchShape kNarrow = {.rows = 1, .columns = kSketchRunElements, .key = kKey};

std::vector<float> Sketch(const SketchShape& shape, const std::vector<float>& x) {
  std::vector<float> table(SketchCells(shape), 99.0f);
  EXPECT_THAT(ScalarSketches().Sketch(shape, x, absl::MakeSpan(table)), IsOk());
  return table;
}

std::vector<float> Estimate(const SketchShape& shape, const std::vector<float>& table,
                            size_t num_elements) {
  std::vector<float> x(num_elements, 99.0f);
  EXPECT_THAT(ScalarSketches().Estimate(shape, table, absl::MakeSpan(x)), IsOk());
  return x;
}

std::vector<uint32_t> SelectLargest(const std::vector<float>& x, size_t count,
                                    const std::vector<uint8_t>& live = {}) {
  std::vector<uint32_t> indices(count, 99);
  EXPECT_THAT(ScalarSketches().SelectLargest(x, live, absl::MakeSpan(indices)), IsOk());
  return indices;
}

// Where an element goes in a row, and with which sign.
struct Place {
  size_t cell;
  float sign;
};

Place PlaceOf(const SketchShape& shape, uint32_t row, size_t i) {
  const SketchRunHash hash =
      HashOfRun(SketchRowKey(shape.key, row), i / kSketchRunElements, shape.columns);
  const uint32_t lane = i % kSketchRunElements;
  return {uint64_t{row} * shape.columns + hash.first_column + (lane ^ hash.lane_mask),
          (hash.signs >> lane) % 2 == 1 ? -1.0f : 1.0f};
}

TEST(SketchHashTest, VersionOneIsWhatItWas) {
  // Every worker and aggregator of a job must agree: these numbers may change with the version
  // only.
  EXPECT_EQ(kSketchHashVersion, 1u);
  const uint64_t key = SketchKey(42, 3);
  EXPECT_EQ(key, 0x581ce1ff0e4ae394u);
  EXPECT_EQ(SketchRowKey(key, 0), 0x4cc2888cba4d1183u);
  EXPECT_EQ(SketchRowKey(key, 4), 0xbde3c7b18b9ba7e6u);
  EXPECT_THAT(HashOfRun(SketchRowKey(key, 0), 0, 4112), FieldsAre(1792, 3, 0x195b));
  EXPECT_THAT(HashOfRun(SketchRowKey(key, 0), 1, 4112), FieldsAre(432, 9, 0x55de));
  EXPECT_THAT(HashOfRun(SketchRowKey(key, 4), 1000000, 4112), FieldsAre(3200, 4, 0x68c3));
}

TEST(SketchTest, AnElementGoesToOneCellOfEveryRow) {
  constexpr SketchShape kShape = {.rows = 3, .columns = 64, .key = kKey};
  for (size_t i = 0; i < 50; ++i) {
    std::vector<float> x(50);
    x[i] = 2.5f;
    std::vector<float> expected(SketchCells(kShape));
    for (uint32_t row = 0; row < 3; ++row) {
      const Place place = PlaceOf(kShape, row, i);
      expected[place.cell] = place.sign * 2.5f;
    }
    EXPECT_EQ(Sketch(kShape, x), expected) << "element " << i;
  }
}

TEST(SketchTest, TheElementsOfARunNeverMeet) {
  const std::vector<float> table = Sketch(kNarrow, std::vector<float>(kSketchRunElements, 1.0f));
  for (const float cell : table) EXPECT_EQ(std::abs(cell), 1.0f);
}

TEST(SketchTest, WhatMeetsIsAddedInTheOrderOfElements) {
  // Three elements of one cell, one of each run. 2^24 + 1 rounds to 2^24.
  const auto sum = [](float first, float second, float third) {
    std::vector<float> x(3 * kSketchRunElements);
    const size_t cell = PlaceOf(kNarrow, 0, 5).cell;
    const float terms[] = {first, second, third};
    for (size_t i = 0; i < x.size(); ++i) {
      const Place place = PlaceOf(kNarrow, 0, i);
      if (place.cell == cell) x[i] = place.sign * terms[i / kSketchRunElements];
    }
    return Sketch(kNarrow, x)[cell];
  };
  EXPECT_EQ(sum(0x1p24f, 1.0f, -0x1p24f), 0.0f);
  EXPECT_EQ(sum(0x1p24f, -0x1p24f, 1.0f), 1.0f);
  EXPECT_EQ(sum(1.0f, 2.0f, 4.0f), 7.0f);
}

TEST(SketchTest, ElementsPastTheEndAreAbsent) {
  std::vector<float> x(kSketchRunElements + 1);
  x.back() = 3.0f;
  const Place place = PlaceOf(kNarrow, 0, x.size() - 1);
  std::vector<float> expected(kSketchRunElements);
  expected[place.cell] = place.sign * 3.0f;
  EXPECT_EQ(Sketch(kNarrow, x), expected);
}

TEST(SketchTest, EmptyCellsAreZeroWithoutASign) {
  for (const float cell : Sketch(kNarrow, std::vector<float>(40, -0.0f))) {
    EXPECT_EQ(std::bit_cast<uint32_t>(cell), 0u);
  }
}

TEST(EstimateTest, WhatIsAloneIsEstimatedExactly) {
  constexpr SketchShape kShape = {.rows = 1, .columns = 64, .key = kKey};
  std::vector<float> x(20);
  for (size_t i = 0; i < kSketchRunElements; ++i) x[i] = static_cast<float>(i) - 7.5f;
  const std::vector<float> estimates = Estimate(kShape, Sketch(kShape, x), x.size());
  EXPECT_EQ(std::vector<float>(estimates.begin(), estimates.begin() + kSketchRunElements),
            std::vector<float>(x.begin(), x.begin() + kSketchRunElements));
}

TEST(EstimateTest, IsTheMedianOfTheRows) {
  for (const uint32_t rows : {1, 3, 5, 7, 15}) {
    const SketchShape shape = {.rows = rows, .columns = 16, .key = kKey};
    // Row r says (r * 4) mod rows, so that the middle one is in no special row.
    std::vector<float> table(SketchCells(shape));
    for (size_t i = 0; i < 16; ++i) {
      for (uint32_t row = 0; row < rows; ++row) {
        const Place place = PlaceOf(shape, row, i);
        table[place.cell] = place.sign * static_cast<float>((row + 1) * 4 % rows);
      }
    }
    EXPECT_THAT(Estimate(shape, table, 16), Each(FloatEq(static_cast<float>(rows / 2))))
        << rows << " rows";
  }
}

TEST(EstimateTest, ZeroHasNoSign) {
  constexpr SketchShape kShape = {.rows = 3, .columns = 16, .key = kKey};
  for (const float zero : {0.0f, -0.0f}) {
    for (const float x : Estimate(kShape, std::vector<float>(48, zero), 16)) {
      EXPECT_EQ(std::bit_cast<uint32_t>(x), 0u);
    }
  }
}

TEST(SelectLargestTest, ComparesMagnitudesAndSortsIndices) {
  EXPECT_THAT(SelectLargest({1.0f, -5.0f, 0.0f, 4.0f, -3.0f}, 3), ElementsAre(1, 3, 4));
  EXPECT_THAT(SelectLargest({kSubnormal, 0.0f, -2 * kSubnormal}, 2), ElementsAre(0, 2));
  EXPECT_THAT(SelectLargest({1.0f, 2.0f}, 2), ElementsAre(0, 1));
}

TEST(SelectLargestTest, OfEqualsTheLowerIndexComesFirst) {
  EXPECT_THAT(SelectLargest({2.0f, -3.0f, 3.0f, 2.0f, -2.0f}, 4), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(SelectLargest({-0.0f, 0.0f, -0.0f}, 2), ElementsAre(0, 1));
}

TEST(SelectLargestTest, ANanIsLargerThanAllNumbers) {
  EXPECT_THAT(SelectLargest({kInfinity, 1.0f, -kNan, -kInfinity}, 2), ElementsAre(0, 2));
}

TEST(SelectLargestTest, WhatIsMaskedIsNeverChosen) {
  const std::vector<float> x = {9.0f, 1.0f, kNan, 0.0f, 2.0f, 2.0f, 2.0f, 8.0f, 7.0f};
  EXPECT_THAT(SelectLargest(x, 2, {0x7a, 0x00}), ElementsAre(4, 5));
  EXPECT_THAT(SelectLargest(x, 2, {0x0a, 0x00}), ElementsAre(1, 3));
  EXPECT_THAT(SelectLargest(x, 1, {0x7a, 0x01}), ElementsAre(8));
}

}  // namespace
}  // namespace tally
