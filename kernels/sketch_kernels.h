// The arithmetic of count sketches, and of choosing the largest elements.
#ifndef TALLY_KERNELS_SKETCH_KERNELS_H_
#define TALLY_KERNELS_SKETCH_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/sketch_hash.h"

namespace tally {

inline constexpr uint32_t kMaxSketchRows = 15;

constexpr uint64_t SketchCells(const SketchShape& shape) {
  return uint64_t{shape.rows} * shape.columns;
}

// Kernels over count sketches (Charikar, Chen, Farach-Colton, ICALP 2002); part of a back end
// (backend.h), whose rules on threads, order of operations, bit-equality and argument errors hold
// here. A table has shape.rows rows of shape.columns cells, row by row. Every method that takes a
// shape returns INVALID_ARGUMENT too if rows is not odd or above kMaxSketchRows, columns is 0 or
// not a multiple of kSketchRunElements, or the table has not as many cells.
class SketchKernels {
 public:
  virtual ~SketchKernels() = default;
  SketchKernels(const SketchKernels&) = delete;
  SketchKernels& operator=(const SketchKernels&) = delete;

  // table = sketch of x: every cell is the fp32 sum, in increasing order of elements and starting
  // from +0, of the signed elements that hash to it. `table` [SketchCells(shape)]. Elements past
  // the end of x in its last run count as absent.
  absl::Status Sketch(const SketchShape& shape, absl::Span<const float> x,
                      absl::Span<float> table) const;

  // x[i] = median over the rows of element i's signed cell, for the x.size() first elements.
  // Medians compare as numbers, with -0 = +0; which of two equal ones is returned may not matter: a
  // result of -0 is returned as +0. The estimates that a NaN reaches are unspecified.
  absl::Status Estimate(const SketchShape& shape, absl::Span<const float> table,
                        absl::Span<float> x) const;

  // The indices, increasing, of the indices.size() unmasked elements with the largest magnitudes;
  // of equal magnitudes the lower index comes first. Magnitudes compare as bits of |x[i]|, so a NaN
  // counts as larger than all numbers. `live` [BitmapBytes(x.size())] as in AccumulateArgs; empty:
  // all live.
  // Returns INVALID_ARGUMENT if fewer elements live than are asked for, or x has more than 2^32
  // - 1.
  absl::Status SelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                             absl::Span<uint32_t> indices) const;

 protected:
  SketchKernels() = default;

 private:
  // The same operations on arguments that were checked; x and `indices` are not empty.
  virtual void DoSketch(const SketchShape& shape, absl::Span<const float> x,
                        absl::Span<float> table) const = 0;
  virtual void DoEstimate(const SketchShape& shape, absl::Span<const float> table,
                          absl::Span<float> x) const = 0;
  virtual void DoSelectLargest(absl::Span<const float> x, absl::Span<const uint8_t> live,
                               absl::Span<uint32_t> indices) const = 0;
};

}  // namespace tally

#endif  // TALLY_KERNELS_SKETCH_KERNELS_H_
