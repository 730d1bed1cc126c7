#include "tests/reference/reference_norm.h"

#include <algorithm>
#include <cmath>

namespace tally::reference {
namespace {

constexpr size_t kBlock = 4096;
constexpr size_t kStripes = 32;

}  // namespace

double SumOfMagnitudes(const std::vector<float>& values, size_t begin, size_t end) {
  double total = 0.0;
  for (size_t block = begin; block < end; block += kBlock) {
    double stripes[kStripes] = {};
    for (size_t i = block; i < std::min(end, block + kBlock); ++i) {
      stripes[(i - block) % kStripes] += std::fabs(static_cast<double>(values[i]));
    }
    for (size_t half = kStripes / 2; half > 0; half /= 2) {
      for (size_t j = 0; j < half; ++j) stripes[j] += stripes[j + half];
    }
    total += stripes[0];
  }
  return total;
}

double SumOfMagnitudesByPieces(const std::vector<float>& values, size_t begin, size_t end) {
  double total = 0.0;
  while (begin < end) {
    const size_t piece_end = std::min(end, (begin / kBlock + 1) * kBlock);
    total += SumOfMagnitudes(values, begin, piece_end);
    begin = piece_end;
  }
  return total;
}

}  // namespace tally::reference
