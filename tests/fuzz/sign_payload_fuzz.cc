// Input: two bytes for the numbers of elements and segments, then a payload.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/check.h"
#include "codecs/limits.h"
#include "codecs/sign_codec.h"
#include "kernels/backend.h"
#include "kernels/host_backends.h"
#include "kernels/sign_block.h"
#include "tests/fuzz/fuzz_target.h"

namespace tally {
namespace {

// `size_bytes` bytes: those of `bytes`, then zeros.
Buffer Copy(absl::Span<const uint8_t> bytes, size_t size_bytes) {
  Buffer buffer(size_bytes);
  const size_t copied = std::min(bytes.size(), size_bytes);
  std::copy_n(bytes.begin(), copied, buffer.bytes().begin());
  std::fill(buffer.bytes().begin() + copied, buffer.bytes().end(), uint8_t{0});
  return buffer;
}

// What DecodeSign lets through decodes to finite values of the magnitude of its scales.
void DecodeAndCheck(absl::Span<const uint8_t> payload, size_t num_elements, size_t num_segments) {
  const absl::StatusOr<SignBlock> block = DecodeSign(payload, num_elements, num_segments);
  if (!block.ok()) return;
  std::vector<uint32_t> ends;
  for (size_t k = 1; k <= num_segments; ++k) {
    ends.push_back(static_cast<uint32_t>(k * num_elements / num_segments));
  }
  for (const Backend* backend : HostBackends()) {
    std::vector<float> values(num_elements);
    TALLY_CHECK(backend->SumSigns({*block}, ends, {}, absl::MakeSpan(values)).ok(), "kernel");
    size_t k = 0;
    for (size_t i = 0; i < num_elements; ++i) {
      if (i == ends[k]) ++k;
      TALLY_CHECK(std::fabs(values[i]) == block->scales[k], "magnitude");
      TALLY_CHECK(std::fabs(values[i]) <= kMaxMagnitude, "bound");
      const bool positive = (block->bits[i / 8] >> (i % 8)) & 1;
      TALLY_CHECK(values[i] == 0 || (values[i] > 0) == positive, "sign");
    }
  }
}

}  // namespace

std::vector<std::string> SeedInputs() {
  // 13 elements, 2 segments: scales 0.5 and 3.
  return {std::string("\x0c\x01\x00\x00\x00\x3f\x00\x00\x40\x40\x8b\x15", 12)};
}

}  // namespace tally

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tally;
  if (size < 2) return 0;
  const size_t num_elements = size_t{1} + data[0];
  const size_t num_segments = 1 + data[1] % num_elements;
  const absl::Span<const uint8_t> bytes(data + 2, size - 2);
  const size_t exact_bytes = SignPayloadBytes(num_elements, num_segments);
  DecodeAndCheck(Copy(bytes, bytes.size()).bytes(), num_elements, num_segments);
  DecodeAndCheck(Copy(bytes, exact_bytes).bytes(), num_elements, num_segments);
  return 0;
}
