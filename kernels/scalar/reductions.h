// Sums and bounds over one span, as Backend describes them. Spans are not empty.
#ifndef TALLY_KERNELS_SCALAR_REDUCTIONS_H_
#define TALLY_KERNELS_SCALAR_REDUCTIONS_H_

#include "absl/types/span.h"

namespace tally::scalar {

double SumOfSquares(absl::Span<const float> x);
double SumOfMagnitudes(absl::Span<const float> x);
double DotProduct(absl::Span<const float> x, absl::Span<const float> y);  // of the same size
bool AllWithin(absl::Span<const float> x, float bound);

}  // namespace tally::scalar

#endif  // TALLY_KERNELS_SCALAR_REDUCTIONS_H_
