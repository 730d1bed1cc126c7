// The hash family of count sketches, version 1: every constant that decides which column an element
// goes to, and with which sign.
#ifndef TALLY_KERNELS_SKETCH_HASH_H_
#define TALLY_KERNELS_SKETCH_HASH_H_

#include <cstdint>

#include "base/mix64.h"

namespace tally {

inline constexpr uint32_t kSketchHashVersion = 1;

// Elements are hashed in runs: the 16 elements of a run go to 16 columns that lie side by side,
// each to its own, so that a run is one vector load, add and store per row. Two elements of
// different runs share a column of a row with probability 1 / columns, as in any count sketch; two
// of one run never do. Hence estimates have the textbook mean and variance.
inline constexpr uint32_t kSketchRunElements = 16;

// Shape and hashes of a table.
struct SketchShape {
  uint32_t rows = 0;     // odd
  uint32_t columns = 0;  // a multiple of kSketchRunElements
  uint64_t key = 0;      // SketchKey
};

// The key of one chunk's tables.
constexpr uint64_t SketchKey(uint64_t hash_seed, uint32_t chunk) {
  return Mix64(hash_seed + kGolden64 * (uint64_t{chunk} + 1));
}

constexpr uint64_t SketchRowKey(uint64_t key, uint32_t row) {
  return Mix64(key ^ (kGolden64 * (uint64_t{row} + 1)));
}

// Where a run goes in a row, and how: element l of the run is added, with its sign, to column
// first_column + (l ^ lane_mask).
struct SketchRunHash {
  uint32_t first_column;  // a multiple of kSketchRunElements
  uint32_t lane_mask;     // below kSketchRunElements
  uint32_t signs;         // bit l = 1: element l is negated
};

constexpr SketchRunHash HashOfRun(uint64_t row_key, uint64_t run, uint32_t columns) {
  const uint64_t hash = Mix64(row_key + kGolden64 * run);
  return {.first_column = ScaleTo(static_cast<uint32_t>(hash >> 32), columns / kSketchRunElements) *
                          kSketchRunElements,
          .lane_mask = static_cast<uint32_t>(hash & 15),
          .signs = static_cast<uint32_t>((hash >> 4) & 0xffff)};
}

}  // namespace tally

#endif  // TALLY_KERNELS_SKETCH_HASH_H_
