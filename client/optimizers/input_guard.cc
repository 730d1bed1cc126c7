#include "client/optimizers/input_guard.h"

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace tally {
namespace {

// The value as it would arrive.
absl::StatusOr<float> Converted(const Backend& backend, float value, DType dtype) {
  uint8_t bytes[sizeof(float)];
  const absl::Span<uint8_t> encoded = absl::MakeSpan(bytes, ElementBytes(dtype));
  float converted = 0.0f;
  TALLY_RETURN_IF_ERROR(backend.EncodeDense(dtype, absl::MakeConstSpan(&value, 1), encoded));
  TALLY_RETURN_IF_ERROR(backend.DecodeDense(dtype, encoded, absl::MakeSpan(&converted, 1)));
  return converted;
}

}  // namespace

absl::Status InputGuard::Refuse(uint32_t chunk, absl::Span<const float> values, DType dtype) {
  if (follows_) return absl::OkStatus();
  if (policy_ == NonFinitePolicy::kAbstain) {
    ++abstained_chunks_;
    return absl::OkStatus();
  }
  for (size_t i = 0; i < values.size(); ++i) {
    TALLY_ASSIGN_OR_RETURN(const float converted, Converted(backend_, values[i], dtype));
    if (Accepts(absl::MakeConstSpan(&converted, 1))) continue;
    return absl::OutOfRangeError(absl::StrCat(
        "chunk ", chunk, ": `gradients[", layout_.chunks()[chunk].offset + i, "]` = ", values[i],
        ", must be finite and at most 2^64 (dtype ", DTypeName(dtype), ")"));
  }
  return absl::InternalError(absl::StrCat("chunk ", chunk, ": refused, but every value is legal"));
}

}  // namespace tally
