#include "tests/reference/reference_sketch.h"

#include <algorithm>

#include "tests/reference/reference_random.h"

namespace tally::reference {
namespace {

constexpr size_t kRun = 16;

struct Cell {
  size_t index;  // in the table
  float sign;
};

Cell CellOf(const Sketch& sketch, size_t row, size_t element) {
  const uint64_t row_key = Mix(sketch.key ^ (kGolden * (row + 1)));
  const uint64_t h = Mix(row_key + kGolden * (element / kRun));
  const uint32_t run_columns =
      Scale(static_cast<uint32_t>(h >> 32), static_cast<uint32_t>(sketch.columns / kRun));
  const size_t lane = (element % kRun) ^ (h & 15);
  const bool negative = (((h >> 4) & 0xffff) >> (element % kRun)) & 1;
  return {row * sketch.columns + kRun * run_columns + lane, negative ? -1.0f : 1.0f};
}

}  // namespace

uint64_t SketchKeyOf(uint64_t hash_seed, size_t chunk) {
  return Mix(hash_seed + kGolden * (chunk + 1));
}

std::vector<float> TableOf(const Sketch& sketch, const std::vector<float>& x) {
  std::vector<float> table(sketch.rows * sketch.columns);
  for (size_t row = 0; row < sketch.rows; ++row) {
    for (size_t i = 0; i < x.size(); ++i) {
      const Cell cell = CellOf(sketch, row, i);
      table[cell.index] += cell.sign * x[i];
    }
  }
  return table;
}

std::vector<float> EstimatesFrom(const Sketch& sketch, const std::vector<float>& table,
                                 size_t num_elements) {
  std::vector<float> estimates;
  for (size_t i = 0; i < num_elements; ++i) {
    std::vector<float> cells;
    for (size_t row = 0; row < sketch.rows; ++row) {
      const Cell cell = CellOf(sketch, row, i);
      cells.push_back(cell.sign * table[cell.index]);
    }
    std::sort(cells.begin(), cells.end());
    estimates.push_back(cells[sketch.rows / 2] + 0.0f);  // -0 is +0
  }
  return estimates;
}

}  // namespace tally::reference
