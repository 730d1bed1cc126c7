#include "tests/reference/reference_signs.h"

#include <algorithm>

#include "tests/reference/reference_payload.h"

namespace tally::reference {

std::string CompressToSigns(const SignRule& rule, By by, const std::vector<bool>& live,
                            std::vector<float>& values) {
  std::vector<float> scales;
  std::vector<bool> bits;
  for (size_t begin = 0; begin < values.size(); begin += rule.block_elements) {
    const size_t end = std::min(values.size(), begin + rule.block_elements);
    const double norm = by == By::kAggregator ? NormOf(rule.scale, values, begin, end)
                                              : NormByPieces(rule.scale, values, begin, end);
    const auto num_live = std::count(live.begin() + static_cast<std::ptrdiff_t>(begin),
                                     live.begin() + static_cast<std::ptrdiff_t>(end), true);
    scales.push_back(ScaleFrom(rule.scale, norm, static_cast<size_t>(num_live)));
    for (size_t k = begin; k < end; ++k) {
      bits.push_back(!(values[k] < 0.0f));
      values[k] = !live[k] ? 0.0f : bits[k] ? scales.back() : -scales.back();
    }
  }
  return SignPayload(scales, bits);
}

}  // namespace tally::reference
