// Gradients of elements that are dealt out to groups.
#ifndef TALLY_CLIENT_OPTIMIZERS_DEALT_GRADIENT_H_
#define TALLY_CLIENT_OPTIMIZERS_DEALT_GRADIENT_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/optimizers/method_parts.h"
#include "codecs/layout.h"

namespace tally {

// The group's elements of a flat vector, in the group's order.
std::vector<float> DealtOf(absl::Span<const float> flat, const Layout& layout, uint32_t group);

// MethodParts::TakesPart for a group; `gradients` is the flat vector.
absl::StatusOr<bool> DealtTakesPart(MethodParts& parts, uint32_t group,
                                    absl::Span<const float> gradients);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DEALT_GRADIENT_H_
