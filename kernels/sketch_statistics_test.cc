// What makes a count sketch work: its hashes are uniform and independent enough, so that estimates
// have the mean and the error that the textbook promises. All keys are fixed: a bound of five or
// six standard deviations is one that chance would break less than once in a million.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mix64.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "kernels/sketch_hash.h"
#include "kernels/sketch_kernels.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr uint64_t kSeed = 2024;
constexpr uint64_t kNumRuns = 200000;

const SketchKernels& Kernels() { return FastestHostBackend()->sketches(); }

// Sum of (count - expected)^2 / expected over equally likely cells.
double ChiSquare(const std::vector<uint32_t>& counts) {
  double total = 0.0;
  for (const uint32_t count : counts) total += count;
  const double expected = total / static_cast<double>(counts.size());
  double sum = 0.0;
  for (const uint32_t count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

// Six standard deviations above the mean of ChiSquare over `num_cells` cells; a sum far below the
// mean would be as suspicious.
testing::AssertionResult IsUniform(const std::vector<uint32_t>& counts) {
  const double freedom = static_cast<double>(counts.size() - 1);
  const double chi_square = ChiSquare(counts);
  if (std::abs(chi_square - freedom) <= 6 * std::sqrt(2 * freedom)) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure()
         << "chi-square " << chi_square << " with " << freedom << " degrees of freedom";
}

// Five standard deviations of a count of `trials` with probability `p`.
testing::AssertionResult IsBinomial(uint64_t count, uint64_t trials, double p) {
  const double expected = static_cast<double>(trials) * p;
  const double deviation = static_cast<double>(count) - expected;
  if (std::abs(deviation) <= 5 * std::sqrt(expected * (1 - p))) return testing::AssertionSuccess();
  return testing::AssertionFailure() << count << " of " << trials << ", expected " << expected;
}

// Where an element goes in a row, and with which sign.
struct Place {
  uint32_t column;
  bool is_negated;
};

Place PlaceOf(uint64_t row_key, uint64_t i, uint32_t columns) {
  const SketchRunHash hash = HashOfRun(row_key, i / kSketchRunElements, columns);
  const auto lane = static_cast<uint32_t>(i % kSketchRunElements);
  return {hash.first_column + (lane ^ hash.lane_mask), (hash.signs >> lane) % 2 == 1};
}

TEST(SketchHashStatisticsTest, ColumnsAreUniform) {
  for (const uint32_t columns : {1024, 7808, 16 * 305}) {
    for (uint32_t row = 0; row < 5; ++row) {
      SCOPED_TRACE(absl::StrCat(columns, " columns, row ", row));
      const uint64_t row_key = SketchRowKey(SketchKey(kSeed, 0), row);
      std::vector<uint32_t> firsts(columns / kSketchRunElements);
      std::vector<uint32_t> counts(columns);
      for (uint64_t run = 0; run < kNumRuns; ++run) {
        ++firsts[HashOfRun(row_key, run, columns).first_column / kSketchRunElements];
        ++counts[PlaceOf(row_key, run * kSketchRunElements + 3, columns).column];
      }
      EXPECT_TRUE(IsUniform(firsts));
      EXPECT_TRUE(IsUniform(counts));
    }
  }
}

TEST(SketchHashStatisticsTest, LanesAndSignsAreUniform) {
  const uint64_t row_key = SketchRowKey(SketchKey(kSeed, 1), 0);
  std::vector<uint32_t> masks(kSketchRunElements);
  std::vector<uint32_t> signs(1 << 16);
  for (uint64_t run = 0; run < 10 * kNumRuns; ++run) {
    const SketchRunHash hash = HashOfRun(row_key, run, 1024);
    ++masks[hash.lane_mask];
    ++signs[hash.signs];
  }
  EXPECT_TRUE(IsUniform(masks));
  // All 2^16 of them: hence every sign is fair, and every pair and triple of one run's independent.
  EXPECT_TRUE(IsUniform(signs));
}

TEST(SketchHashStatisticsTest, ColumnLaneAndSignAreIndependent) {
  const uint64_t row_key = SketchRowKey(SketchKey(kSeed, 2), 0);
  std::vector<uint32_t> counts(64 * 16 * 16);
  for (uint64_t run = 0; run < 10 * kNumRuns; ++run) {
    const SketchRunHash hash = HashOfRun(row_key, run, 1024);
    ++counts[(hash.first_column / 16 * 16 + hash.lane_mask) * 16 + hash.signs % 16];
  }
  EXPECT_TRUE(IsUniform(counts));
}

TEST(SketchHashStatisticsTest, ElementsOfDifferentRunsMeetOnceInColumns) {
  constexpr uint32_t kColumns = 64;
  // Neighbours, the same lane, far apart.
  constexpr uint64_t kPairs[][2] = {{15, 16}, {0, 16}, {3, 1000003}, {40, 71}};
  for (const auto& [i, j] : kPairs) {
    SCOPED_TRACE(absl::StrCat("elements ", i, " and ", j));
    uint64_t meetings = 0;
    uint64_t equal_signs = 0;
    for (uint32_t chunk = 0; chunk < kNumRuns; ++chunk) {
      const uint64_t row_key = SketchRowKey(SketchKey(kSeed, chunk), 1);
      const Place a = PlaceOf(row_key, i, kColumns);
      const Place b = PlaceOf(row_key, j, kColumns);
      if (a.column != b.column) continue;
      ++meetings;
      equal_signs += a.is_negated == b.is_negated ? 1 : 0;
    }
    EXPECT_TRUE(IsBinomial(meetings, kNumRuns, 1.0 / kColumns));
    // What meets cancels as often as it adds up: estimates have no bias.
    EXPECT_TRUE(IsBinomial(equal_signs, meetings, 0.5));
  }
}

TEST(SketchHashStatisticsTest, ElementsOfOneRunNeverMeet) {
  for (uint64_t run = 0; run < 1000; ++run) {
    const uint64_t row_key = SketchRowKey(SketchKey(kSeed, 3), 2);
    std::vector<bool> is_taken(64);
    for (uint64_t i = 16 * run; i < 16 * (run + 1); ++i) {
      const uint32_t column = PlaceOf(row_key, i, 64).column;
      EXPECT_FALSE(is_taken[column]);
      is_taken[column] = true;
    }
  }
}

TEST(SketchHashStatisticsTest, RowsChunksAndSeedsAreIndependent) {
  constexpr uint32_t kColumns = 16 * 61;
  const uint64_t row_keys[][2] = {
      {SketchRowKey(SketchKey(kSeed, 0), 0), SketchRowKey(SketchKey(kSeed, 0), 1)},
      {SketchRowKey(SketchKey(kSeed, 0), 0), SketchRowKey(SketchKey(kSeed, 0), 4)},
      {SketchRowKey(SketchKey(kSeed, 0), 0), SketchRowKey(SketchKey(kSeed, 1), 0)},
      {SketchRowKey(SketchKey(kSeed, 0), 1), SketchRowKey(SketchKey(kSeed, 1), 0)},
      {SketchRowKey(SketchKey(kSeed, 0), 0), SketchRowKey(SketchKey(kSeed + 1, 0), 0)}};
  for (const auto& [first, second] : row_keys) {
    uint64_t equal_slots = 0;
    uint64_t equal_masks = 0;
    uint64_t equal_signs = 0;
    for (uint64_t run = 0; run < kNumRuns; ++run) {
      const SketchRunHash a = HashOfRun(first, run, kColumns);
      const SketchRunHash b = HashOfRun(second, run, kColumns);
      equal_slots += a.first_column == b.first_column ? 1 : 0;
      equal_masks += a.lane_mask == b.lane_mask ? 1 : 0;
      equal_signs += std::popcount(~(a.signs ^ b.signs) & 0xffff);
    }
    EXPECT_TRUE(IsBinomial(equal_slots, kNumRuns, 1.0 / 61));
    EXPECT_TRUE(IsBinomial(equal_masks, kNumRuns, 1.0 / 16));
    EXPECT_TRUE(IsBinomial(equal_signs, 16 * kNumRuns, 0.5));
  }
}

TEST(SketchHashStatisticsTest, TwoRunsThatMeetInOneRowMeetInAnotherByChanceOnly) {
  constexpr uint32_t kColumns = 16 * 8;
  uint64_t in_first = 0;
  uint64_t in_both = 0;
  for (uint32_t chunk = 0; chunk < kNumRuns; ++chunk) {
    const auto meet = [chunk](uint32_t row) {
      const uint64_t row_key = SketchRowKey(SketchKey(kSeed, chunk), row);
      return HashOfRun(row_key, 7, kColumns).first_column ==
             HashOfRun(row_key, 8, kColumns).first_column;
    };
    if (!meet(0)) continue;
    ++in_first;
    in_both += meet(1) ? 1 : 0;
  }
  EXPECT_TRUE(IsBinomial(in_first, kNumRuns, 1.0 / 8));
  EXPECT_TRUE(IsBinomial(in_both, in_first, 1.0 / 8));
}

// k/64, deterministic, many of them 0.
std::vector<float> DyadicFloats(size_t size, uint64_t key) {
  std::vector<float> x(size);
  for (size_t i = 0; i < size; ++i) {
    const uint64_t bits = Mix64(key + i * kGolden64);
    if (bits % 4 != 0) x[i] = static_cast<float>(static_cast<int>((bits >> 32) % 513) - 256) / 64;
  }
  return x;
}

std::vector<float> Sketch(const SketchShape& shape, const std::vector<float>& x) {
  std::vector<float> table(SketchCells(shape));
  EXPECT_THAT(Kernels().Sketch(shape, x, absl::MakeSpan(table)), IsOk());
  return table;
}

std::vector<float> Recover(const SketchShape& shape, const std::vector<float>& x) {
  std::vector<float> estimates(x.size());
  EXPECT_THAT(Kernels().Estimate(shape, Sketch(shape, x), absl::MakeSpan(estimates)), IsOk());
  return estimates;
}

// Sum of squares of all elements but those of the run of element `i`, which never meet it.
double OtherEnergy(const std::vector<float>& x, size_t i) {
  double sum = 0.0;
  for (size_t j = 0; j < x.size(); ++j) {
    if (j / kSketchRunElements != i / kSketchRunElements) sum += double{x[j]} * x[j];
  }
  return sum;
}

TEST(SketchStatisticsTest, EstimatesOfARowHaveTheMeanAndVarianceOfTheory) {
  constexpr uint32_t kColumns = 128;
  constexpr uint32_t kTables = 4000;
  constexpr size_t kWatched[] = {0, 100, 1001, 1600};
  const std::vector<float> x = DyadicFloats(1601, 5);
  std::array<double, std::size(kWatched)> sums = {};
  std::array<double, std::size(kWatched)> squares = {};
  for (uint32_t chunk = 0; chunk < kTables; ++chunk) {
    const std::vector<float> estimates =
        Recover({.rows = 1, .columns = kColumns, .key = SketchKey(kSeed, chunk)}, x);
    for (size_t w = 0; w < sums.size(); ++w) {
      const double error = double{estimates[kWatched[w]]} - x[kWatched[w]];
      sums[w] += error;
      squares[w] += error * error;
    }
  }
  for (size_t w = 0; w < sums.size(); ++w) {
    SCOPED_TRACE(absl::StrCat("element ", kWatched[w]));
    const double variance = OtherEnergy(x, kWatched[w]) / kColumns;
    EXPECT_LE(std::abs(sums[w] / kTables), 5 * std::sqrt(variance / kTables));
    // Errors are nearly normal: the relative deviation of their mean square is sqrt(2 / kTables),
    // of which this is five times.
    EXPECT_NEAR(squares[w] / kTables / variance, 1.0, 5 * std::sqrt(2.0 / kTables));
  }
}

TEST(SketchStatisticsTest, TheMedianOfRowsIsNearerThanOneRow) {
  const std::vector<float> x = DyadicFloats(100000, 6);
  double energy = 0.0;
  for (const float value : x) energy += double{value} * value;
  const auto error = [&x](uint32_t rows) {
    const std::vector<float> estimates =
        Recover({.rows = rows, .columns = 4096, .key = SketchKey(kSeed, 9)}, x);
    double sum = 0.0;
    for (size_t i = 0; i < x.size(); ++i) {
      sum += (double{estimates[i]} - x[i]) * (double{estimates[i]} - x[i]);
    }
    return std::sqrt(sum / static_cast<double>(x.size()));
  };
  // The norm over the root of the columns, for one row. Over n rows the median of normal errors
  // has about pi / (2 n) of the variance; for few rows somewhat less: .536 of the deviation for 5.
  const double theory = std::sqrt(energy / 4096);
  EXPECT_NEAR(error(1) / theory, 1.0, 0.05);
  EXPECT_NEAR(error(5) / theory, 0.536, 0.03);
  EXPECT_LT(error(15), error(5));
}

TEST(SketchStatisticsTest, TheSketchOfASumIsTheSumOfTheSketches) {
  // Sums of k/64 are exact: equal means equal.
  for (uint32_t chunk = 0; chunk < 10; ++chunk) {
    for (const uint32_t rows : {1, 5}) {
      for (const uint32_t columns : {16, 1024}) {
        SCOPED_TRACE(absl::StrCat("chunk ", chunk, ", ", rows, " x ", columns));
        const SketchShape shape = {
            .rows = rows, .columns = columns, .key = SketchKey(kSeed, chunk)};
        const std::vector<float> x = DyadicFloats(20003, 2 * chunk);
        const std::vector<float> y = DyadicFloats(20003, 2 * chunk + 1);
        std::vector<float> sum(x.size());
        for (size_t i = 0; i < sum.size(); ++i) sum[i] = x[i] + y[i];
        std::vector<float> sum_of_tables = Sketch(shape, x);
        const std::vector<float> table = Sketch(shape, y);
        for (size_t c = 0; c < table.size(); ++c) sum_of_tables[c] += table[c];
        EXPECT_EQ(Sketch(shape, sum), sum_of_tables);
      }
    }
  }
}

}  // namespace
}  // namespace tally
