// Input: four bytes for the number of elements, three for that of indices, then a code.
#include <string>
#include <vector>

#include "base/check.h"
#include "codecs/index_set_codec.h"
#include "tests/fuzz/fuzz_target.h"

namespace tally {
namespace {

constexpr size_t kHeaderBytes = 7;

uint32_t NumberAt(const uint8_t* data, size_t num_bytes) {
  uint32_t number = 0;
  for (size_t i = 0; i < num_bytes; ++i) number |= uint32_t{data[i]} << (8 * i);
  return number;
}

}  // namespace

std::vector<std::string> SeedInputs() {
  // 3, 4, 20 of 64; 15 of the most elements; 64 of 64, one too large; nothing.
  return {std::string("\x40\x00\x00\x00\x03\x00\x00\x17\x1e", 9),
          std::string("\xff\xff\xff\xff\x01\x00\x00\x1f\x00\x00\x00", 11),
          std::string("\x40\x00\x00\x00\x01\x00\x00\x04", 8),
          std::string("\x40\x00\x00\x00\x00\x00\x00", 7)};
}

}  // namespace tally

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tally;
  if (size < kHeaderBytes) return 0;
  const uint32_t num_elements = NumberAt(data, 4);
  const uint32_t count = NumberAt(data + 4, 3);
  if (count > num_elements) return 0;
  const std::vector<uint8_t> bytes(data + kHeaderBytes, data + size);
  const auto indices = DecodeIndexSet(bytes, num_elements, count);
  if (!indices.ok()) return 0;
  TALLY_CHECK(indices->size() == count, "count");
  for (size_t k = 0; k < indices->size(); ++k) {
    TALLY_CHECK((*indices)[k] < num_elements, "range");
    TALLY_CHECK(k == 0 || (*indices)[k - 1] < (*indices)[k], "order");
  }
  TALLY_CHECK(bytes.size() <= MaxIndexSetBytes(num_elements, count), "bound");
  std::vector<uint8_t> again;
  AppendIndexSet(*indices, num_elements, again);
  TALLY_CHECK(again == bytes, "one code for each set");
  return 0;
}
