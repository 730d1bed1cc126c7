#include "codecs/distortion.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tally {
namespace {

double RelativeError(double error, double norm) {
  if (norm > 0) return error / norm;
  return error > 0 ? std::numeric_limits<double>::infinity() : 0.0;
}

}  // namespace

Distortion MeasureDistortion(absl::Span<const float> x, absl::Span<const float> y) {
  Distortion distortion;
  double error = 0;
  double x_norm = 0;
  double y_norm = 0;
  double product = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double a = x[i];
    const double b = y[i];
    distortion.max_error = std::max(distortion.max_error, std::fabs(a - b));
    distortion.sign_flips += (a < 0) != (b < 0);
    error += (a - b) * (a - b);
    x_norm += a * a;
    y_norm += b * b;
    product += a * b;
  }
  distortion.relative_error = RelativeError(error, x_norm);
  if (x_norm > 0 && y_norm > 0) {
    distortion.cosine = product / (std::sqrt(x_norm) * std::sqrt(y_norm));
  }
  return distortion;
}

}  // namespace tally
