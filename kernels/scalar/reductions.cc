#include "kernels/scalar/reductions.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace tally::scalar {
namespace {

constexpr size_t kBlockElements = 4096;
constexpr size_t kNumPartials = 32;

// The sum of term(i) over `size` elements.
template <typename Term>
double StripedSum(size_t size, Term term) {
  double total = 0.0;
  for (size_t begin = 0; begin < size; begin += kBlockElements) {
    const size_t block_elements = std::min(kBlockElements, size - begin);
    double partials[kNumPartials] = {};
    for (size_t i = 0; i < block_elements; ++i) {
      partials[i % kNumPartials] += term(begin + i);
    }
    for (size_t half = kNumPartials / 2; half > 0; half /= 2) {
      for (size_t j = 0; j < half; ++j) partials[j] += partials[j + half];
    }
    total += partials[0];
  }
  return total;
}

}  // namespace

double SumOfSquares(absl::Span<const float> x) { return DotProduct(x, x); }

double SumOfMagnitudes(absl::Span<const float> x) {
  return StripedSum(x.size(), [x](size_t i) { return std::fabs(static_cast<double>(x[i])); });
}

double DotProduct(absl::Span<const float> x, absl::Span<const float> y) {
  return StripedSum(
      x.size(), [x, y](size_t i) { return static_cast<double>(x[i]) * static_cast<double>(y[i]); });
}

bool AllWithin(absl::Span<const float> x, float bound) {
  for (const float value : x) {
    if (!std::isfinite(value) || !(std::fabs(value) <= bound)) return false;
  }
  return true;
}

}  // namespace tally::scalar
