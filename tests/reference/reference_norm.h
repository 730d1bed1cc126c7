// Norms and scales in the order of summation that docs/algorithms.md fixes.
#ifndef TALLY_TESTS_REFERENCE_REFERENCE_NORM_H_
#define TALLY_TESTS_REFERENCE_REFERENCE_NORM_H_

#include <cstddef>
#include <vector>

namespace tally::reference {

// The sum of the magnitudes of values[begin, end), lane-striped from `begin` on.
double SumOfMagnitudes(const std::vector<float>& values, size_t begin, size_t end);

// The same, cut at multiples of 4,096 from the start of `values`, which is a chunk's: the order of
// workers, who accumulate piece by piece.
double SumOfMagnitudesByPieces(const std::vector<float>& values, size_t begin, size_t end);

}  // namespace tally::reference

#endif  // TALLY_TESTS_REFERENCE_REFERENCE_NORM_H_
