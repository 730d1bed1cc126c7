#include "client/optimizers/variance_freeze.h"

#include <algorithm>

#include "base/status_macros.h"

namespace tally {

bool VarianceFreeze::IsDue(uint64_t steps, const AdamState& state, const Layout& layout,
                           const Backend& backend) {
  return *IsDue(steps, state.factors(), layout, [&](const Layout::Chunk& chunk) {
    return backend.SumOfMagnitudes(state.second_moment(chunk.offset, chunk.num_elements));
  });
}

absl::StatusOr<bool> VarianceFreeze::IsDue(uint64_t steps, const AdamFactors& factors,
                                           const Layout& layout, SumOfChunk sum_of_chunk) {
  if (options_.warmup_steps.has_value()) return steps >= *options_.warmup_steps;
  if (steps < options_.min_steps || steps % options_.interval_steps != 0) return false;
  double norm = 0.0;
  for (const Layout::Chunk& chunk : layout.chunks()) {
    if (chunk.dense) break;
    TALLY_ASSIGN_OR_RETURN(const double sum, sum_of_chunk(chunk));
    norm += sum;
  }
  norm /= factors.second_weight();
  const double smaller = std::min(norm, last_norm_);
  const double larger = std::max(norm, last_norm_);
  last_norm_ = norm;
  return smaller > 0.0 && smaller / larger >= static_cast<double>(options_.threshold);
}

void VarianceFreeze::Save(SavedStateWriter& writer) const {
  writer.AddValues<double>("freeze_norm", {&last_norm_, 1});
}

absl::Status VarianceFreeze::Load(const SavedState& saved) {
  return saved.Values("freeze_norm", absl::MakeSpan(&last_norm_, 1));
}

}  // namespace tally
