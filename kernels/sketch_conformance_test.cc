#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/conformance.h"
#include "kernels/live_mask.h"
#include "kernels/sketch_kernels.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr uint32_t kRows[] = {1, 3, 5, 7, 15};
constexpr uint32_t kColumns[] = {16, 1024, 4096 + 16};
constexpr size_t kSizes[] = {0, 1, 15, 16, 17, 63, 64, 259, 1023, 4099, 20'011};

class SketchConformanceTest : public ConformanceTest {};

TEST_P(SketchConformanceTest, SketchesAndEstimatesLikeTheScalarOne) {
  for (const uint32_t rows : kRows) {
    for (const uint32_t columns : kColumns) {
      for (const size_t size : kSizes) {
        SCOPED_TRACE(testing::Message() << rows << " x " << columns << ", " << size << " elements");
        const SketchShape shape = {.rows = rows, .columns = columns, .key = random()()};
        std::vector<float> x = ModerateFloats(size);
        for (size_t i = 0; i + 3 < size; i += 7) x[i + 3] = x[i];
        const GuardedArray<float> input(absl::MakeConstSpan(x), 1 + size % 3);
        GuardedArray<float> table(SketchCells(shape), 1);
        std::vector<float> expected(SketchCells(shape));
        ASSERT_THAT(backend().sketches().Sketch(shape, input.span(), table.span()), IsOk());
        ASSERT_THAT(scalar().sketches().Sketch(shape, x, absl::MakeSpan(expected)), IsOk());
        ASSERT_TRUE(SameBits(absl::Span<const float>(table.span()), expected));
        ASSERT_TRUE(table.IsIntact());

        GuardedArray<float> estimates(size, 2);
        std::vector<float> expected_estimates(size);
        ASSERT_THAT(backend().sketches().Estimate(shape, expected, estimates.span()), IsOk());
        ASSERT_THAT(
            scalar().sketches().Estimate(shape, expected, absl::MakeSpan(expected_estimates)),
            IsOk());
        ASSERT_TRUE(SameBits(absl::Span<const float>(estimates.span()), expected_estimates));
        ASSERT_TRUE(estimates.IsIntact());
      }
    }
  }
}

// Cells that are equal, or zeros of either sign, which a median must not tell apart.
TEST_P(SketchConformanceTest, EstimatesFromEqualCellsLikeTheScalarOne) {
  for (const uint32_t rows : kRows) {
    const SketchShape shape = {.rows = rows, .columns = 64, .key = 5};
    std::vector<float> table(SketchCells(shape));
    for (float& cell : table) {
      constexpr float kValues[] = {0.0f, -0.0f, 1.0f, -1.0f};
      cell = kValues[random()() % 4];
    }
    std::vector<float> actual(500);
    std::vector<float> expected(500);
    ASSERT_THAT(backend().sketches().Estimate(shape, table, absl::MakeSpan(actual)), IsOk());
    ASSERT_THAT(scalar().sketches().Estimate(shape, table, absl::MakeSpan(expected)), IsOk());
    EXPECT_TRUE(SameBits(absl::MakeConstSpan(actual), expected)) << rows << " rows";
  }
}

TEST_P(SketchConformanceTest, SelectsLikeTheScalarOne) {
  for (const size_t size : kSizes) {
    for (const bool has_ties : {false, true}) {
      for (const bool is_masked : {false, true}) {
        SCOPED_TRACE(testing::Message()
                     << size << " elements, ties " << has_ties << ", mask " << is_masked);
        std::vector<float> x = has_ties ? DyadicFloats(size) : WideFloats(size);
        const std::vector<uint8_t> live =
            is_masked ? Bytes(BitmapBytes(size)) : std::vector<uint8_t>();
        const size_t num_live = CountLive(live, 0, size);
        for (const size_t count : {size_t{1}, num_live / 50, num_live / 2, num_live}) {
          if (count > num_live) continue;
          GuardedArray<uint32_t> actual(count, 1);
          std::vector<uint32_t> expected(count);
          const GuardedArray<float> input(absl::MakeConstSpan(x), 1);
          ASSERT_THAT(backend().sketches().SelectLargest(input.span(), live, actual.span()),
                      IsOk());
          ASSERT_THAT(scalar().sketches().SelectLargest(x, live, absl::MakeSpan(expected)), IsOk());
          ASSERT_TRUE(std::equal(expected.begin(), expected.end(), actual.span().begin()))
              << count << " of them";
          ASSERT_TRUE(actual.IsIntact());
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryBackend, SketchConformanceTest,
                         testing::ValuesIn(ConformanceParams()), ConformanceName);

}  // namespace
}  // namespace tally
