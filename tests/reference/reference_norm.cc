#include "tests/reference/reference_norm.h"

#include <algorithm>
#include <cmath>

namespace tally::reference {
namespace {

constexpr size_t kBlock = 4096;
constexpr size_t kStripes = 32;

}  // namespace

double NormOf(Scale scale, const std::vector<float>& values, size_t begin, size_t end) {
  double total = 0.0;
  for (size_t block = begin; block < end; block += kBlock) {
    double stripes[kStripes] = {};
    for (size_t i = block; i < std::min(end, block + kBlock); ++i) {
      const double value = values[i];
      stripes[(i - block) % kStripes] +=
          scale == Scale::kRootMeanSquare ? value * value : std::fabs(value);
    }
    for (size_t half = kStripes / 2; half > 0; half /= 2) {
      for (size_t j = 0; j < half; ++j) stripes[j] += stripes[j + half];
    }
    total += stripes[0];
  }
  return total;
}

double NormByPieces(Scale scale, const std::vector<float>& values, size_t begin, size_t end) {
  double total = 0.0;
  while (begin < end) {
    const size_t piece_end = std::min(end, (begin / kBlock + 1) * kBlock);
    total += NormOf(scale, values, begin, piece_end);
    begin = piece_end;
  }
  return total;
}

float ScaleFrom(Scale scale, double norm, size_t num_live) {
  if (num_live == 0) return 0.0f;
  const double mean = norm / static_cast<double>(num_live);
  const double value = scale == Scale::kRootMeanSquare ? std::sqrt(mean) : mean;
  return static_cast<float>(std::min(value, std::ldexp(1.0, 64)));
}

}  // namespace tally::reference
