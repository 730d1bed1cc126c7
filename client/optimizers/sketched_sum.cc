#include "client/optimizers/sketched_sum.h"

#include "base/status_macros.h"

namespace tally {

void SaveSketchedSum(absl::Span<const float> sum, SavedStateWriter& writer) {
  if (!writer.is_shared()) writer.AddValues<float>("residual_sum", sum);
}

absl::StatusOr<std::vector<float>> LoadSketchedSum(const SavedState& saved, const Layout& layout) {
  std::vector<float> sum(layout.num_compressed());
  if (!saved.is_shared()) {
    TALLY_RETURN_IF_ERROR(saved.Values("residual_sum", absl::MakeSpan(sum)));
  }
  return sum;
}

}  // namespace tally
