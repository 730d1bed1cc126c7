// Input: two bytes for the number of elements, one for whether there are values, then a payload.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/check.h"
#include "codecs/limits.h"
#include "codecs/sparse_codec.h"
#include "tests/fuzz/fuzz_target.h"

namespace tally {

std::vector<std::string> SeedInputs() {
  // 3, 4, 20 of 64, without values, with 0.5, -2 and 3, and with too large ones; 0 and 1 of 2,
  // one too many; nothing.
  return {std::string("\x3f\x00\x00\x03\x00\x00\x00\x17\x1e", 9),
          std::string("\x3f\x00\x01\x03\x00\x00\x00\x00\x00\x00\x3f\x00\x00\x00\xc0\x00\x00\x40"
                      "\x40\x17\x1e",
                      21),
          std::string("\x3f\x00\x01\x03\x00\x00\x00\x01\x00\x80\x5f\x00\x00\x00\xc0\x00\x00\x80"
                      "\x7f\x17\x1e",
                      21),
          std::string("\x01\x00\x00\x02\x00\x00\x00\x03", 8),
          std::string("\x3f\x00\x01\x00\x00\x00\x00", 7)};
}

}  // namespace tally

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tally;
  if (size < 3) return 0;
  const uint32_t num_elements = 1 + data[0] + 256u * data[1];
  const bool with_values = data[2] % 2 != 0;
  // Half of them at most, so that counts too large occur.
  const uint32_t max_count = (num_elements + 1) / 2;
  Buffer payload(size - 3);
  std::copy_n(data + 3, payload.size(), payload.bytes().begin());
  const auto block = DecodeSparse(payload.bytes(), num_elements, max_count, with_values);
  if (!block.ok()) return 0;
  TALLY_CHECK(block->indices.size() <= max_count, "count");
  TALLY_CHECK(block->indices.size() == SparseCountOf(payload.bytes()), "count at the front");
  TALLY_CHECK(block->values.size() == (with_values ? block->indices.size() : 0), "values");
  for (const float value : block->values) {
    TALLY_CHECK(std::isfinite(value) && std::fabs(value) <= kMaxMagnitude, "magnitude");
  }
  TALLY_CHECK(payload.size() <= MaxSparsePayloadBytes(num_elements,
                                                      static_cast<uint32_t>(block->indices.size()),
                                                      with_values),
              "bound");
  const Buffer again = EncodeSparse(block->indices, block->values, num_elements);
  TALLY_CHECK(again.bytes() == payload.bytes(), "one payload for each set");
  return 0;
}
