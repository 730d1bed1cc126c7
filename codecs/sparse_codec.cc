#include "codecs/sparse_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "codecs/index_set_codec.h"
#include "codecs/limits.h"

namespace tally {
namespace {

static_assert(std::endian::native == std::endian::little, "values are read where they lie");

constexpr size_t kCountBytes = sizeof(uint32_t);

}  // namespace

size_t MaxSparsePayloadBytes(uint32_t num_elements, uint32_t max_count, bool with_values) {
  const size_t value_bytes = with_values ? max_count * sizeof(float) : 0;
  return kCountBytes + value_bytes + MaxIndexSetBytes(num_elements, max_count);
}

uint32_t SparseCountOf(absl::Span<const uint8_t> payload) {
  uint32_t count;
  std::memcpy(&count, payload.data(), kCountBytes);
  return count;
}

Buffer EncodeSparse(absl::Span<const uint32_t> indices, absl::Span<const float> values,
                    uint32_t num_elements) {
  std::vector<uint8_t> index_bytes;
  AppendIndexSet(indices, num_elements, index_bytes);
  const size_t value_bytes = values.size() * sizeof(float);
  Buffer payload(kCountBytes + value_bytes + index_bytes.size());
  const auto count = static_cast<uint32_t>(indices.size());
  uint8_t* out = payload.data();
  std::memcpy(out, &count, kCountBytes);
  if (!values.empty()) std::memcpy(out + kCountBytes, values.data(), value_bytes);
  std::copy(index_bytes.begin(), index_bytes.end(), out + kCountBytes + value_bytes);
  return payload;
}

absl::StatusOr<SparseBlock> DecodeSparse(absl::Span<const uint8_t> payload, uint32_t num_elements,
                                         uint32_t max_count, bool with_values) {
  if (payload.size() < kCountBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`payload` has ", payload.size(), " bytes, must begin with a count of ", kCountBytes));
  }
  const uint32_t count = SparseCountOf(payload);
  if (count > max_count) {
    return absl::InvalidArgumentError(
        absl::StrCat("`payload.count` = ", count, ", must be at most ", max_count));
  }
  const size_t value_bytes = with_values ? count * sizeof(float) : 0;
  if (payload.size() - kCountBytes < value_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("`payload` has ", payload.size(), " bytes, must have more than ",
                     kCountBytes + value_bytes, " for ", count, " elements with values"));
  }
  SparseBlock block;
  if (with_values) {
    block.values = {reinterpret_cast<const float*>(payload.data() + kCountBytes), count};
  }
  for (size_t k = 0; k < block.values.size(); ++k) {
    if (!(std::fabs(block.values[k]) <= kMaxMagnitude)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "`payload.values[", k, "]` = ", block.values[k], ", must be finite and at most 2^64"));
    }
  }
  TALLY_ASSIGN_OR_RETURN(block.indices, DecodeIndexSet(payload.subspan(kCountBytes + value_bytes),
                                                       num_elements, count));
  return block;
}

}  // namespace tally
