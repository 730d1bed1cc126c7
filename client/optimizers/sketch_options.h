// Settings of the methods that sketch.
#ifndef TALLY_CLIENT_OPTIMIZERS_SKETCH_OPTIONS_H_
#define TALLY_CLIENT_OPTIMIZERS_SKETCH_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "codecs/layout.h"
#include "kernels/dtype.h"

namespace tally {

struct SketchOptions {
  // k: elements updated in every round, of all groups together.
  uint32_t num_updated = 0;
  // P: how many candidates are looked at for each of them.
  uint32_t candidates_per_updated = 4;
  uint32_t rows = 5;     // odd, at most 15
  uint32_t columns = 0;  // of all groups together
  // False: no second half; the estimates themselves are the update, and nothing is conserved.
  bool exact_values = true;
  // Number formats on the wire. A table's own noise is far above the rounding of 16 bits.
  DType table_dtype = DType::kBFloat16;
  DType values_dtype = DType::kFloat32;
};

// The shares of one group.
struct GroupSketch {
  uint32_t columns = 0;         // a multiple of 16
  uint32_t num_candidates = 0;  // at most the group's elements
};
GroupSketch SketchOfGroup(const SketchOptions& options, const Layout& layout, uint32_t group);

// As many groups as leave each at least 1,024 columns, for a layout that is yet to be made; at
// least 1, at most one per block of 64 elements.
uint32_t NumSketchGroups(uint32_t columns, uint64_t num_compressed);

// Returns INVALID_ARGUMENT, naming the field, if the layout's compressed part is not dealt out, a
// number is 0, num_updated is above the compressed elements, or rows is not odd or above 15.
absl::Status ValidateSketchOptions(const SketchOptions& options, const Layout& layout);

// What speaks against the options, in words, before a run is wasted on them: fewer columns than 2k
// (unless a tenth of all elements are candidates, so that what is chosen badly comes soon all the
// same), more candidates than elements, tables as large as the vector. Empty if nothing does.
std::string SketchWarning(const SketchOptions& options, const Layout& layout);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SKETCH_OPTIONS_H_
