// What suits each method on the example models, and what it is measured against.
#ifndef TALLY_EXAMPLES_METHOD_PRESETS_H_
#define TALLY_EXAMPLES_METHOD_PRESETS_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace tally {

struct MethodPreset {
  absl::string_view method;
  // The method without compression whose loss it should reach; itself for those without any.
  absl::string_view twin;
  // Found by the search that docs/benchmarks.md records.
  double learning_rate = 1e-3;
  // Share of it that is left at the last step.
  double final_learning_rate_share = 1;
  double momentum = 0.9;
  double beta1 = 0.9;
  // birder's; unset: that of its momentum.
  absl::optional<double> magnitude_beta = absl::nullopt;
  // Of all rounds, those that are an uncompressed warm-up (of zeroone_adam: until it freezes its
  // variance); 0: the method has none.
  double warmup_share = 0;
  // Of a sketch: elements updated in a round and columns, both as shares of all elements, and
  // candidates per updated element.
  double sketch_share = 0.005;
  double sketch_columns_share = 0.05;
  uint32_t sketch_candidates = 4;
  // How far above the twin's loss a quickstart may end; unset: it is shown, not judged.
  absl::optional<double> allowed_gap = absl::nullopt;
};

// The preset of a method; of one that has none, Adam's.
MethodPreset PresetOf(absl::string_view method);

// The same method with a smaller sketch: about 4 bits a parameter up and half a bit down.
MethodPreset WithSmallSketch(MethodPreset preset);

}  // namespace tally

#endif  // TALLY_EXAMPLES_METHOD_PRESETS_H_
