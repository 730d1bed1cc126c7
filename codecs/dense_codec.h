// Payload of a dense exchange: num_elements values of the exchange's dtype, little-endian, nothing
// else. Every value is finite and at most kMaxMagnitude.
#ifndef TALLY_CODECS_DENSE_CODEC_H_
#define TALLY_CODECS_DENSE_CODEC_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace tally {

constexpr size_t DensePayloadBytes(DType dtype, size_t num_elements) {
  return num_elements * ElementBytes(dtype);
}

// Checks bytes from outside, of any alignment.
// Returns INVALID_ARGUMENT if the length is not DensePayloadBytes(dtype, num_elements) or a value
// breaks the rule; the message names the first such element and its value.
absl::Status ValidateDense(DType dtype, absl::Span<const uint8_t> payload, size_t num_elements,
                           const Backend& backend);

}  // namespace tally

#endif  // TALLY_CODECS_DENSE_CODEC_H_
