#include "client/optimizers/dealt_gradient.h"

namespace tally {

std::vector<float> DealtOf(absl::Span<const float> flat, const Layout& layout, uint32_t group) {
  std::vector<float> dealt(layout.chunks()[group].num_elements);
  layout.dealing()->Gather(group, /*begin=*/0, flat, absl::MakeSpan(dealt));
  return dealt;
}

absl::StatusOr<bool> DealtTakesPart(MethodParts& parts, uint32_t group,
                                    absl::Span<const float> gradients) {
  return parts.TakesPart(group, DealtOf(gradients, parts.layout(), group));
}

}  // namespace tally
