// Input: a byte for the number format, a byte for what the length is off by, then a payload.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/check.h"
#include "codecs/dense_codec.h"
#include "codecs/limits.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"
#include "kernels/host_backends.h"
#include "tests/fuzz/fuzz_target.h"

namespace tally {

std::vector<std::string> SeedInputs() {
  // 1, -2.5, 2^64 in each format.
  return {std::string("\x00\x00\x00\x00\x80\x3f\x00\x00\x20\xc0\x00\x00\x80\x5f", 14),
          std::string("\x01\x00\x00\x3c\x00\xc1\xff\x7b", 8),
          std::string("\x02\x00\x80\x3f\x20\xc0\x80\x5f", 8)};
}

}  // namespace tally

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tally;
  if (size < 2) return 0;
  constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
  const DType dtype = kDTypes[data[0] % 3];
  const absl::Span<const uint8_t> payload(data + 2, size - 2);
  const size_t num_elements = payload.size() / ElementBytes(dtype) + data[1] % 2;
  for (const Backend* backend : HostBackends()) {
    const bool accepted = ValidateDense(dtype, payload, num_elements, *backend).ok();
    if (payload.size() != DensePayloadBytes(dtype, num_elements)) {
      TALLY_CHECK(!accepted, "length");
      continue;
    }
    std::vector<float> values(num_elements);
    TALLY_CHECK(backend->DecodeDense(dtype, payload, absl::MakeSpan(values)).ok(), "kernel");
    const bool allowed = std::all_of(values.begin(), values.end(), [](float value) {
      return std::isfinite(value) && std::fabs(value) <= kMaxMagnitude;
    });
    TALLY_CHECK(accepted == allowed, "verdict");
  }
  return 0;
}
