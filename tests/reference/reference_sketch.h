// Count sketches with the hashes of docs/wire-format.md, written a second time.
#ifndef TALLY_TESTS_REFERENCE_REFERENCE_SKETCH_H_
#define TALLY_TESTS_REFERENCE_REFERENCE_SKETCH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tally::reference {

struct Sketch {
  size_t rows = 0;
  size_t columns = 0;
  uint64_t key = 0;
};

uint64_t SketchKeyOf(uint64_t hash_seed, size_t chunk);

// The table, row by row.
std::vector<float> TableOf(const Sketch& sketch, const std::vector<float>& x);

// Medians of the first `num_elements` elements.
std::vector<float> EstimatesFrom(const Sketch& sketch, const std::vector<float>& table,
                                 size_t num_elements);

}  // namespace tally::reference

#endif  // TALLY_TESTS_REFERENCE_REFERENCE_SKETCH_H_
