#include "kernels/sketch_kernels.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using testing::Each;
using testing::HasSubstr;

// Counts what passes the checks, and computes nothing.
class CountingSketches final : public SketchKernels {
 public:
  int num_calls() const { return num_calls_; }

 private:
  void DoSketch(const SketchShape&, absl::Span<const float>, absl::Span<float>) const override {
    ++num_calls_;
  }
  void DoEstimate(const SketchShape&, absl::Span<const float>, absl::Span<float>) const override {
    ++num_calls_;
  }
  void DoSelectLargest(absl::Span<const float>, absl::Span<const uint8_t>,
                       absl::Span<uint32_t>) const override {
    ++num_calls_;
  }

  mutable int num_calls_ = 0;
};

constexpr SketchShape kShape = {.rows = 3, .columns = 32, .key = 1};

void ExpectRefused(const std::string& message,
                   const std::function<absl::Status(const SketchKernels&)>& call) {
  SCOPED_TRACE(message);
  const CountingSketches sketches;
  EXPECT_THAT(call(sketches), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  EXPECT_EQ(sketches.num_calls(), 0);
}

// Both methods that take a shape.
void ExpectShapeRefused(const std::string& message, const SketchShape& shape, size_t num_cells) {
  std::vector<float> table(num_cells);
  std::vector<float> x(50);
  ExpectRefused(message, [&](const SketchKernels& sketches) {
    return sketches.Sketch(shape, x, absl::MakeSpan(table));
  });
  ExpectRefused(message, [&](const SketchKernels& sketches) {
    return sketches.Estimate(shape, table, absl::MakeSpan(x));
  });
}

TEST(SketchKernelsTest, PassesValidArgumentsOn) {
  const CountingSketches sketches;
  std::vector<float> x(50);
  std::vector<uint8_t> live(7, 0xff);
  std::vector<uint32_t> indices(50);
  for (const uint32_t rows : {1, 3, 15}) {
    const SketchShape shape = {.rows = rows, .columns = 16, .key = 0};
    std::vector<float> table(16 * rows);
    EXPECT_THAT(sketches.Sketch(shape, x, absl::MakeSpan(table)), IsOk());
    EXPECT_THAT(sketches.Estimate(shape, table, absl::MakeSpan(x)), IsOk());
  }
  EXPECT_THAT(sketches.SelectLargest(x, {}, absl::MakeSpan(indices)), IsOk());
  live.back() = 0x03;
  EXPECT_THAT(sketches.SelectLargest(x, live, absl::MakeSpan(indices)), IsOk());
  EXPECT_EQ(sketches.num_calls(), 8);
}

TEST(SketchKernelsTest, HandlesEmptyVectorsItself) {
  const CountingSketches sketches;
  std::vector<float> table(SketchCells(kShape), 1.0f);
  EXPECT_THAT(sketches.Sketch(kShape, {}, absl::MakeSpan(table)), IsOk());
  EXPECT_THAT(table, Each(0.0f));
  EXPECT_THAT(sketches.Estimate(kShape, table, {}), IsOk());
  EXPECT_THAT(sketches.SelectLargest({}, {}, {}), IsOk());
  EXPECT_THAT(sketches.SelectLargest(table, {}, {}), IsOk());
  EXPECT_EQ(sketches.num_calls(), 0);
}

TEST(SketchKernelsTest, RefusesRowsWithoutAMiddleOneOrTooMany) {
  for (const uint32_t rows : {0, 2, 14, 16, 17}) {
    ExpectShapeRefused(absl::StrCat("`shape.rows` = ", rows, ", must be odd and at most 15"),
                       {.rows = rows, .columns = 32, .key = 1}, 32 * rows);
  }
}

TEST(SketchKernelsTest, RefusesColumnsThatAreNoWholeRuns) {
  for (const uint32_t columns : {0, 8, 33}) {
    ExpectShapeRefused(absl::StrCat("`shape.columns` = ", columns, ", must be a multiple of 16"),
                       {.rows = 3, .columns = columns, .key = 1}, 3 * columns);
  }
}

TEST(SketchKernelsTest, RefusesATableOfAnotherSize) {
  for (const size_t num_cells : {0, 95, 97}) {
    ExpectShapeRefused(
        absl::StrCat("`table` has ", num_cells, " cells, must be 3 rows of 32 columns"), kShape,
        num_cells);
  }
}

TEST(SketchKernelsTest, RefusesATableThatOverlapsTheVector) {
  std::vector<float> memory(SketchCells(kShape) + 1);
  const absl::Span<float> all = absl::MakeSpan(memory);
  ExpectRefused("`table` overlaps `x`, must be apart from it", [&](const SketchKernels& sketches) {
    return sketches.Sketch(kShape, all.first(2), all.subspan(1));
  });
  ExpectRefused("`x` overlaps `table`, must be apart from it", [&](const SketchKernels& sketches) {
    return sketches.Estimate(kShape, all.subspan(1), all.first(2));
  });
}

TEST(SketchKernelsTest, RefusesToSelectMoreThanLives) {
  const std::vector<float> x(10);
  const std::vector<uint8_t> live = {0x81, 0x02};
  std::vector<uint32_t> indices(11);
  ExpectRefused("`indices` has 11 entries, must have at most 10, the unmasked elements",
                [&](const SketchKernels& sketches) {
                  return sketches.SelectLargest(x, {}, absl::MakeSpan(indices));
                });
  ExpectRefused("`indices` has 4 entries, must have at most 3, the unmasked elements",
                [&](const SketchKernels& sketches) {
                  return sketches.SelectLargest(x, live, absl::MakeSpan(indices).first(4));
                });
}

TEST(SketchKernelsTest, RefusesAMaskOfAnotherSize) {
  const std::vector<float> x(17);
  std::vector<uint32_t> indices(1);
  for (const size_t num_bytes : {2, 4}) {
    const std::vector<uint8_t> live(num_bytes, 0xff);
    ExpectRefused(absl::StrCat("`live` has ", num_bytes, " bytes, must be 3 for 17 elements"),
                  [&](const SketchKernels& sketches) {
                    return sketches.SelectLargest(x, live, absl::MakeSpan(indices));
                  });
  }
}

TEST(SketchKernelsTest, RefusesMoreElementsThanIndicesCanName) {
  // Nothing is read of them.
  const float first = 0.0f;
  std::vector<uint32_t> indices(1);
  ExpectRefused(
      "`x` has 4294967296 values, must have at most 4294967295",
      [&](const SketchKernels& sketches) {
        return sketches.SelectLargest({&first, size_t{1} << 32}, {}, absl::MakeSpan(indices));
      });
}

TEST(SketchKernelsTest, RefusesIndicesThatOverlapWhatIsRead) {
  std::vector<uint32_t> memory(8);
  const absl::Span<uint32_t> indices = absl::MakeSpan(memory).first(4);
  const absl::Span<const float> floats(reinterpret_cast<const float*>(memory.data()), 8);
  const std::vector<float> x(16);
  ExpectRefused(
      "`indices` overlaps `x`, must be apart from it",
      [&](const SketchKernels& sketches) { return sketches.SelectLargest(floats, {}, indices); });
  std::fill(memory.begin(), memory.end(), 0xffffffff);
  const absl::Span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(memory.data()), 2);
  ExpectRefused(
      "`indices` overlaps `live`, must be apart from it",
      [&](const SketchKernels& sketches) { return sketches.SelectLargest(x, bytes, indices); });
}

}  // namespace
}  // namespace tally
