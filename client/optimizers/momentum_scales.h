// Factors that bring the momenta of all tensors to one size.
#ifndef TALLY_CLIENT_OPTIMIZERS_MOMENTUM_SCALES_H_
#define TALLY_CLIENT_OPTIMIZERS_MOMENTUM_SCALES_H_

#include <vector>

#include "absl/types/span.h"
#include "client/optimizers/layer_map.h"
#include "kernels/backend.h"

namespace tally {

// Factors are within 1 / this and this.
inline constexpr double kMaxMomentumScale = 4294967296.0;  // 2^32

// For each layer the root mean square of its unmasked momenta, taken over all compressed layers,
// divided by its own: multiplied by it, momenta of all tensors fit one sign scale. 1 for dense
// layers and for those whose momenta are all 0, which count in no mean either. Replicated if
// `momentum`, the flat vector, is: norms are added up as LayerMap says.
std::vector<float> MomentumScales(absl::Span<const LayerMap::Layer> layers,
                                  absl::Span<const float> momentum, const Backend& backend);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_MOMENTUM_SCALES_H_
