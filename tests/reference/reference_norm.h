// Norms and scales in the order of summation that docs/algorithms.md fixes.
#ifndef TALLY_TESTS_REFERENCE_REFERENCE_NORM_H_
#define TALLY_TESTS_REFERENCE_REFERENCE_NORM_H_

#include <cstddef>
#include <vector>

namespace tally::reference {

enum class Scale { kMeanMagnitude, kRootMeanSquare };

// The sum of the magnitudes, or squares, of values[begin, end), lane-striped from `begin` on.
double NormOf(Scale scale, const std::vector<float>& values, size_t begin, size_t end);

// The same, cut at multiples of 4,096 from the start of `values`, which is a chunk's: the order of
// workers, who accumulate piece by piece.
double NormByPieces(Scale scale, const std::vector<float>& values, size_t begin, size_t end);

// The scale of `num_live` elements with that norm.
float ScaleFrom(Scale scale, double norm, size_t num_live);

}  // namespace tally::reference

#endif  // TALLY_TESTS_REFERENCE_REFERENCE_NORM_H_
