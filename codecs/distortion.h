// How far a compressed vector is from the one it stands for.
#ifndef TALLY_CODECS_DISTORTION_H_
#define TALLY_CODECS_DISTORTION_H_

#include <cstddef>

#include "absl/types/span.h"

namespace tally {

// Figures of y against x, in fp64.
struct Distortion {
  // Largest |x[i] - y[i]|.
  double max_error = 0;
  // Elements where exactly one of x[i], y[i] is negative; +0 and -0 count as positive.
  size_t sign_flips = 0;
  // ||x - y||^2 / ||x||^2: the delta-contraction of a compressor is one minus this. 0 if x is zero
  // and y too, infinity if only x is.
  double relative_error = 0;
  // <x, y> / (||x|| ||y||); 0 if one of them is zero.
  double cosine = 0;
};

// `y` has as many elements as `x`; all are finite.
Distortion MeasureDistortion(absl::Span<const float> x, absl::Span<const float> y);

}  // namespace tally

#endif  // TALLY_CODECS_DISTORTION_H_
