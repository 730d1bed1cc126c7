// Conformance of the kernels over count sketches.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/conformance.h"
#include "kernels/live_mask.h"
#include "kernels/sketch_kernels.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr uint32_t kRowCounts[] = {1, 3, 5, 7, 15};
constexpr uint32_t kColumnCounts[] = {16, 1024, 4096 + 16};

class SketchConformanceTest : public ConformanceTest {
 protected:
  uint64_t RandomKey() { return uint64_t{random()()} << 32 | random()(); }

  // Every shape with every number of elements around a run, a block of runs and several blocks.
  template <typename Function>
  void ForEachShape(Function function) {
    for (const size_t size : {1, 15, 16, 17, 67, 1023, 1025, 4096, 4099, 16387}) {
      for (const uint32_t rows : kRowCounts) {
        for (const uint32_t columns : kColumnCounts) {
          if (GetParam().is_slow && (size > 1025 || columns > 1024)) continue;
          SCOPED_TRACE(absl::StrCat("size ", size, ", ", rows, " x ", columns));
          function(size, SketchShape{.rows = rows, .columns = columns, .key = RandomKey()});
        }
      }
    }
  }

  void ExpectSameTable(const SketchShape& shape, const std::vector<float>& values) {
    const GuardedArray<float> x(values, random()() % 4);
    GuardedArray<float> expected(SketchCells(shape));
    GuardedArray<float> actual(SketchCells(shape), random()() % 16);
    ASSERT_THAT(scalar().sketches().Sketch(shape, x.span(), expected.span()), IsOk());
    ASSERT_THAT(backend().sketches().Sketch(shape, x.span(), actual.span()), IsOk());
    ASSERT_TRUE(SameBits(actual.span(), expected.span()));
    ASSERT_TRUE(actual.IsIntact());
  }

  void ExpectSameEstimates(const SketchShape& shape, const std::vector<float>& cells, size_t size) {
    const GuardedArray<float> table(cells, random()() % 16);
    GuardedArray<float> expected(size);
    GuardedArray<float> actual(size, random()() % 4);
    ASSERT_THAT(scalar().sketches().Estimate(shape, table.span(), expected.span()), IsOk());
    ASSERT_THAT(backend().sketches().Estimate(shape, table.span(), actual.span()), IsOk());
    ASSERT_TRUE(SameBits(actual.span(), expected.span()));
    ASSERT_TRUE(actual.IsIntact());
  }

  // For one, few, half and all of the elements that live.
  void ExpectSameSelection(const std::vector<float>& values, const std::vector<uint8_t>& bits) {
    const GuardedArray<float> x(values, random()() % 4);
    const GuardedArray<uint8_t> live(bits, random()() % 7);
    const uint64_t num_live = CountLive(bits, 0, values.size());
    for (const uint64_t count :
         std::set<uint64_t>{std::min<uint64_t>(1, num_live), num_live / 100, num_live / 2,
                            num_live - std::min<uint64_t>(1, num_live), num_live}) {
      SCOPED_TRACE(absl::StrCat(count, " of ", num_live));
      GuardedArray<uint32_t> expected(count);
      GuardedArray<uint32_t> actual(count, random()() % 4);
      ASSERT_THAT(scalar().sketches().SelectLargest(x.span(), live.span(), expected.span()),
                  IsOk());
      ASSERT_THAT(backend().sketches().SelectLargest(x.span(), live.span(), actual.span()), IsOk());
      ASSERT_EQ(actual.span(), expected.span());
      ASSERT_TRUE(actual.IsIntact());
    }
  }

  // Without a mask, with one of half the elements, and with one of few.
  void ExpectSameSelections(const std::vector<float>& values) {
    ExpectSameSelection(values, {});
    std::vector<uint8_t> live = Bytes(BitmapBytes(values.size()));
    // The last byte's unused bits are set: they are no elements.
    if (!live.empty()) live.back() |= values.size() % 8 == 0 ? 0 : 0xff << values.size() % 8;
    ExpectSameSelection(values, live);
    for (uint8_t& byte : live) byte &= random()() % 8 == 0 ? 0x10 : 0;
    ExpectSameSelection(values, live);
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, SketchConformanceTest, testing::ValuesIn(ConformanceParams()),
                         ConformanceName);

TEST_P(SketchConformanceTest, SketchHasTheBitsOfScalar) {
  ForEachShape([this](size_t size, const SketchShape& shape) {
    ExpectSameTable(shape, ModerateFloats(size));
    ExpectSameTable(shape, SpecialFloats(size));
  });
}

TEST_P(SketchConformanceTest, SketchOfZerosHasNoSign) {
  ForEachShape([this](size_t size, const SketchShape& shape) {
    ExpectSameTable(shape, std::vector<float>(size, -0.0f));
  });
}

TEST_P(SketchConformanceTest, EstimateHasTheBitsOfScalar) {
  ForEachShape([this](size_t size, const SketchShape& shape) {
    std::vector<float> cells = WideFloats(SketchCells(shape));
    for (float& cell : cells) {
      if (random()() % 16 == 0) cell = std::copysign(std::numeric_limits<float>::infinity(), cell);
    }
    ExpectSameEstimates(shape, cells, size);
  });
}

TEST_P(SketchConformanceTest, EstimateOfEqualCellsHasTheBitsOfScalar) {
  // Few values, both zeros among them: most rows agree with another one.
  ForEachShape([this](size_t size, const SketchShape& shape) {
    std::vector<float> cells(SketchCells(shape));
    for (float& cell : cells) {
      constexpr float kValues[] = {0.0f, -0.0f, 1.0f, -1.0f,
                                   std::numeric_limits<float>::denorm_min()};
      cell = kValues[random()() % 5];
    }
    ExpectSameEstimates(shape, cells, size);
  });
}

TEST_P(SketchConformanceTest, LargeVectorsHaveTheBitsOfScalar) {
  const size_t size = Sizes().back();
  const SketchShape shape = {
      .rows = 3, .columns = GetParam().is_slow ? 1u << 10 : 1u << 18, .key = RandomKey()};
  const std::vector<float> x = ModerateFloats(size);
  ExpectSameTable(shape, x);
  ExpectSameEstimates(shape, ModerateFloats(SketchCells(shape)), size);
}

TEST_P(SketchConformanceTest, SelectLargestChoosesLikeScalar) {
  for (const size_t size : Sizes()) {
    SCOPED_TRACE(absl::StrCat("size ", size));
    ExpectSameSelections(SpecialFloats(size));
  }
}

TEST_P(SketchConformanceTest, SelectLargestBreaksTiesLikeScalar) {
  for (const size_t size : {1, 15, 16, 17, 127, 128, 515, 4099, 70000}) {
    if (GetParam().is_slow && size > 515) continue;
    SCOPED_TRACE(absl::StrCat("size ", size));
    ExpectSameSelections(DyadicFloats(size));
    ExpectSameSelections(std::vector<float>(size, 1.5f));
    std::vector<float> zeros(size, -0.0f);
    ExpectSameSelections(zeros);
    zeros[size / 2] = std::numeric_limits<float>::denorm_min();
    ExpectSameSelections(zeros);
  }
}

TEST_P(SketchConformanceTest, SelectLargestTellsNeighbouringNumbersApart) {
  // All digits but some are equal, whichever the kernel looks at first.
  for (const uint32_t step : {1u, 1u << 9, 1u << 10, 1u << 19, 1u << 20}) {
    SCOPED_TRACE(absl::StrCat("step ", step));
    std::vector<float> x(5000);
    for (float& value : x) {
      const uint32_t bits = 0x3f7fff00 + random()() % 512 * step;
      value = std::bit_cast<float>(bits ^ (random()() & 0x80000000));
    }
    ExpectSameSelections(x);
  }
}

}  // namespace
}  // namespace tally
