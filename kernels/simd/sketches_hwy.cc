#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "hwy/cache_control.h"
#include "kernels/scalar/sketches.h"
#include "kernels/simd/sketches.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/sketches_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "kernels/simd/sketch_run_hwy-inl.h"
#include "kernels/simd/tile_hwy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

#if TALLY_SIMD_HAS_VECTORS

// Runs that go through one row after the other, so that what they read stays in the nearest cache.
inline constexpr size_t kSketchBlockRuns = 256;
// Runs whose estimates are made at a time.
inline constexpr size_t kEstimateBlockRuns = 64;
// A run's cells are asked for as many runs ahead, for rows that no cache holds.
inline constexpr size_t kPrefetchRuns = 12;

// Asks for the cells of run r + kPrefetchRuns, which may lie across two lines.
HWY_INLINE void PrefetchCells(const float* row, const uint64_t* hashes, size_t r, size_t num_runs) {
  const RunHash hash(hashes[std::min(r + kPrefetchRuns, num_runs - 1)]);
  hwy::Prefetch(row + hash.first_column());
  hwy::Prefetch(row + hash.first_column() + kSketchRunElements - 1);
}

// Adds `num_runs` whole runs to one row.
HWY_INLINE void AddRuns(const RunOrder& order, const uint64_t* hashes, const float* x,
                        size_t num_runs, float* row) {
  const FloatTag tag;
  for (size_t r = 0; r < num_runs; ++r) {
    PrefetchCells(row, hashes, r, num_runs);
    const RunHash hash(hashes[r]);
    const size_t lane_mask = hash.lane_mask();
    float* const cells = row + hash.first_column();
    ForEachRunVector([&](auto j) HWY_ATTR {
      const FloatVector run = hn::LoadU(tag, x + r * kSketchRunElements + j * kLanes);
      const FloatVector terms = order.Permute(NegateIf(hash.Negated(j), run), lane_mask);
      float* const target = cells + RunOrder::CellsOf(j, lane_mask);
      hn::StoreU(hn::Add(hn::LoadU(tag, target), terms), tag, target);
    });
  }
}

void SketchOf(const SketchShape& shape, absl::Span<const float> x, absl::Span<float> table) {
  std::fill(table.begin(), table.end(), 0.0f);
  const RunOrder order;
  uint64_t hashes[HashWords(kSketchBlockRuns)];
  const auto add_block = [&](uint64_t first_run, const float* block, size_t num_runs) HWY_ATTR {
    for (uint32_t row = 0; row < shape.rows; ++row) {
      HashRuns(SketchRowKey(shape.key, row), first_run, num_runs, shape.columns, hashes);
      AddRuns(order, hashes, block, num_runs, table.data() + uint64_t{row} * shape.columns);
    }
  };
  const size_t num_runs = x.size() / kSketchRunElements;
  for (size_t run = 0; run < num_runs; run += kSketchBlockRuns) {
    add_block(run, x.data() + run * kSketchRunElements, std::min(kSketchBlockRuns, num_runs - run));
  }
  if (num_runs * kSketchRunElements < x.size()) {
    // Zeros change no cell: a sum that starts from +0 is never -0.
    float tail[kSketchRunElements] = {};
    std::copy(x.begin() + num_runs * kSketchRunElements, x.end(), tail);
    add_block(num_runs, tail, 1);
  }
}

HWY_INLINE FloatVector MedianOf3(FloatVector a, FloatVector b, FloatVector c) {
  return hn::Max(hn::Min(a, b), hn::Min(hn::Max(a, b), c));
}

// Median of the first `rows` of x. It may be either of -0 and +0 where they tie.
template <size_t kRows>
HWY_INLINE FloatVector Median(FloatVector (&x)[kRows], size_t rows) {
  if constexpr (kRows == 1) {
    return x[0];
  } else if constexpr (kRows == 3) {
    return MedianOf3(x[0], x[1], x[2]);
  } else if constexpr (kRows == 5) {
    // Of four, neither the least nor the largest is the median of five.
    return MedianOf3(hn::Max(hn::Min(x[0], x[1]), hn::Min(x[2], x[3])),
                     hn::Min(hn::Max(x[0], x[1]), hn::Max(x[2], x[3])), x[4]);
  } else {
    // The largest of what is left goes last, until the middle one is the last.
    for (size_t last = rows - 1; last >= rows / 2; --last) {
      for (size_t i = 0; i < last; ++i) {
        const FloatVector lower = hn::Min(x[i], x[i + 1]);
        x[i + 1] = hn::Max(x[i], x[i + 1]);
        x[i] = lower;
      }
    }
    return x[rows / 2];
  }
}

// What one row says of vector `j` of a run.
HWY_INLINE FloatVector EstimateInRow(const RunOrder& order, const float* row, RunHash hash,
                                     size_t j) {
  const float* const cells = row + hash.first_column() + RunOrder::CellsOf(j, hash.lane_mask());
  const FloatVector terms = order.Permute(hn::LoadU(FloatTag(), cells), hash.lane_mask());
  return NegateIf(hash.Negated(j), terms);
}

// Estimates `num_runs` whole runs. kRows is the number of rows, or kMaxSketchRows for a number that
// has no code of its own.
template <size_t kRows>
void EstimateRuns(const SketchShape& shape, const RunOrder& order,
                  const uint64_t (&hashes)[kRows][HashWords(kEstimateBlockRuns)],
                  const float* table, size_t num_runs, float* x) {
  for (size_t r = 0; r < num_runs; ++r) {
    ForEachRunVector([&](auto j) HWY_ATTR {
      FloatVector estimates[kRows];
      if constexpr (kRows == kMaxSketchRows) {
        for (size_t row = 0; row < shape.rows; ++row) {
          const float* const cells = table + row * shape.columns;
          estimates[row] = EstimateInRow(order, cells, RunHash(hashes[row][r]), j);
        }
      } else {
        UnrollOver(std::make_index_sequence<kRows>(), [&](auto row) HWY_ATTR {
          const float* const cells = table + row * shape.columns;
          estimates[row] = EstimateInRow(order, cells, RunHash(hashes[row][r]), j);
        });
      }
      // The sum with +0 is never -0.
      const FloatVector median = hn::Add(Median(estimates, shape.rows), hn::Zero(FloatTag()));
      hn::StoreU(median, FloatTag(), x + r * kSketchRunElements + j * kLanes);
    });
  }
}

template <size_t kRows>
void EstimateAs(const SketchShape& shape, absl::Span<const float> table, absl::Span<float> x) {
  const RunOrder order;
  uint64_t hashes[kRows][HashWords(kEstimateBlockRuns)];
  const auto estimate_block = [&](uint64_t first_run, size_t num_runs, float* block) HWY_ATTR {
    for (uint32_t row = 0; row < shape.rows; ++row) {
      HashRuns(SketchRowKey(shape.key, row), first_run, num_runs, shape.columns, hashes[row]);
    }
    EstimateRuns<kRows>(shape, order, hashes, table.data(), num_runs, block);
  };
  const size_t num_runs = x.size() / kSketchRunElements;
  for (size_t run = 0; run < num_runs; run += kEstimateBlockRuns) {
    estimate_block(run, std::min(kEstimateBlockRuns, num_runs - run),
                   x.data() + run * kSketchRunElements);
  }
  const size_t done = num_runs * kSketchRunElements;
  if (done < x.size()) {
    float tail[kSketchRunElements];
    estimate_block(num_runs, 1, tail);
    std::copy_n(tail, x.size() - done, x.begin() + done);
  }
}

void EstimateOf(const SketchShape& shape, absl::Span<const float> table, absl::Span<float> x) {
  if (shape.rows == 1) return EstimateAs<1>(shape, table, x);
  if (shape.rows == 3) return EstimateAs<3>(shape, table, x);
  if (shape.rows == 5) return EstimateAs<5>(shape, table, x);
  return EstimateAs<kMaxSketchRows>(shape, table, x);
}

#else

void SketchOf(const SketchShape& shape, absl::Span<const float> x, absl::Span<float> table) {
  ScalarSketches().Sketch(shape, x, table).IgnoreError();
}

void EstimateOf(const SketchShape& shape, absl::Span<const float> table, absl::Span<float> x) {
  ScalarSketches().Estimate(shape, table, x).IgnoreError();
}

#endif

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tally {
namespace simd {

HWY_EXPORT(SketchOf);
HWY_EXPORT(EstimateOf);

}  // namespace simd

void SimdSketches::DoSketch(const SketchShape& shape, absl::Span<const float> x,
                            absl::Span<float> table) const {
  HWY_DYNAMIC_DISPATCH(simd::SketchOf)(shape, x, table);
}

void SimdSketches::DoEstimate(const SketchShape& shape, absl::Span<const float> table,
                              absl::Span<float> x) const {
  HWY_DYNAMIC_DISPATCH(simd::EstimateOf)(shape, table, x);
}

}  // namespace tally
#endif  // HWY_ONCE
