#include "kernels/scalar/sketches.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <vector>

namespace tally {
namespace {

// Calls cell(i, column, negate) for every element of a vector, in increasing order.
template <typename Cell>
void ForEachElement(const SketchShape& shape, uint32_t row, size_t num_elements, Cell cell) {
  const uint64_t row_key = SketchRowKey(shape.key, row);
  for (size_t i = 0; i < num_elements; ++i) {
    const SketchRunHash hash = HashOfRun(row_key, i / kSketchRunElements, shape.columns);
    const auto lane = static_cast<uint32_t>(i % kSketchRunElements);
    cell(i, hash.first_column + (lane ^ hash.lane_mask), (hash.signs >> lane) & 1);
  }
}

}  // namespace

void ScalarSketches::DoSketch(const SketchShape& shape, absl::Span<const float> x,
                              absl::Span<float> table) const {
  std::fill(table.begin(), table.end(), 0.0f);
  for (uint32_t row = 0; row < shape.rows; ++row) {
    const absl::Span<float> cells = table.subspan(uint64_t{row} * shape.columns, shape.columns);
    ForEachElement(shape, row, x.size(), [&](size_t i, uint32_t column, bool negate) {
      cells[column] += negate ? -x[i] : x[i];
    });
  }
}

void ScalarSketches::DoEstimate(const SketchShape& shape, absl::Span<const float> table,
                                absl::Span<float> x) const {
  std::vector<float> estimates(x.size() * shape.rows);
  for (uint32_t row = 0; row < shape.rows; ++row) {
    const absl::Span<const float> cells =
        table.subspan(uint64_t{row} * shape.columns, shape.columns);
    ForEachElement(shape, row, x.size(), [&](size_t i, uint32_t column, bool negate) {
      estimates[i * shape.rows + row] = negate ? -cells[column] : cells[column];
    });
  }
  for (size_t i = 0; i < x.size(); ++i) {
    const auto begin = estimates.begin() + static_cast<ptrdiff_t>(i * shape.rows);
    std::nth_element(begin, begin + shape.rows / 2, begin + shape.rows);
    x[i] = begin[shape.rows / 2] + 0.0f;  // -0 + 0 is +0
  }
}

void ScalarSketches::DoSelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                                     absl::Span<uint32_t> indices) const {
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < x.size(); ++i) {
    if (live.empty() || ((live[i / 8] >> (i % 8)) & 1) != 0) order.push_back(i);
  }
  const auto magnitude = [x](uint32_t i) { return std::bit_cast<uint32_t>(x[i]) & 0x7fffffff; };
  const auto chosen = order.begin() + static_cast<ptrdiff_t>(indices.size());
  std::nth_element(order.begin(), chosen, order.end(), [&](uint32_t a, uint32_t b) {
    return magnitude(a) != magnitude(b) ? magnitude(a) > magnitude(b) : a < b;
  });
  std::copy(order.begin(), chosen, indices.begin());
  std::sort(indices.begin(), indices.end());
}

}  // namespace tally
