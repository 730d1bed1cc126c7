#include "client/optimizers/momentum_scales.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/check.h"

namespace tally {
namespace {

double RootMeanSquare(const LayerMap::Layer& layer, absl::Span<const float> momentum,
                      const Backend& backend) {
  double squares = 0.0;
  const absl::Status status =
      LayerMap::ForEachPiece(layer, [&](uint64_t offset, uint64_t num_elements) {
        squares += backend.SumOfSquares(momentum.subspan(offset, num_elements));
        return absl::OkStatus();
      });
  TALLY_CHECK(status.ok(), status.message());
  return layer.num_live > 0 ? std::sqrt(squares / static_cast<double>(layer.num_live)) : 0.0;
}

}  // namespace

std::vector<float> MomentumScales(absl::Span<const LayerMap::Layer> layers,
                                  absl::Span<const float> momentum, const Backend& backend) {
  std::vector<double> sizes;
  double sum = 0.0;
  size_t num_summed = 0;
  for (const LayerMap::Layer& layer : layers) {
    sizes.push_back(layer.dense ? 0.0 : RootMeanSquare(layer, momentum, backend));
    sum += sizes.back();
    if (sizes.back() > 0.0) ++num_summed;
  }
  const double mean = num_summed > 0 ? sum / static_cast<double>(num_summed) : 0.0;
  std::vector<float> scales;
  for (const double size : sizes) {
    scales.push_back(size > 0.0 ? static_cast<float>(std::clamp(
                                      mean / size, 1.0 / kMaxMomentumScale, kMaxMomentumScale))
                                : 1.0f);
  }
  return scales;
}

}  // namespace tally
