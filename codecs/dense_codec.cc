#include "codecs/dense_codec.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "codecs/limits.h"

namespace tally {
namespace {

// 16 KiB of floats: small beside any stack and any first-level cache.
constexpr size_t kTileElements = 4096;

bool IsAllowed(float value) { return std::fabs(value) <= kMaxMagnitude; }

}  // namespace

absl::Status ValidateDense(DType dtype, absl::Span<const uint8_t> payload, size_t num_elements,
                           const Backend& backend) {
  if (payload.size() != DensePayloadBytes(dtype, num_elements)) {
    return absl::InvalidArgumentError(
        absl::StrCat("`payload` has ", payload.size(), " bytes, must have ",
                     DensePayloadBytes(dtype, num_elements), " (", num_elements, " values of ",
                     DTypeName(dtype), ")"));
  }
  alignas(64) float tile[kTileElements];
  for (size_t begin = 0; begin < num_elements; begin += kTileElements) {
    const absl::Span<float> values(tile, std::min(kTileElements, num_elements - begin));
    TALLY_RETURN_IF_ERROR(backend.DecodeDense(
        dtype,
        payload.subspan(DensePayloadBytes(dtype, begin), DensePayloadBytes(dtype, values.size())),
        values));
    if (backend.AllWithin(values, kMaxMagnitude)) continue;
    const auto first = std::find_if_not(values.begin(), values.end(), IsAllowed);
    return absl::InvalidArgumentError(
        absl::StrCat("`payload[", begin + (first - values.begin()), "]` = ", *first,
                     ", must be finite and at most 2^64 in magnitude"));
  }
  return absl::OkStatus();
}

}  // namespace tally
