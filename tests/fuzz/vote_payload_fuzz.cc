// Input: a byte for the number of elements, two for that of participants, then bitmaps.
#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "codecs/vote_codec.h"
#include "kernels/sign_block.h"
#include "kernels/vote_kernels.h"
#include "tests/fuzz/fuzz_target.h"

namespace tally {
namespace {

// `size_bytes` bytes: those of `bytes`, then zeros.
std::vector<uint8_t> Copy(absl::Span<const uint8_t> bytes, size_t size_bytes) {
  std::vector<uint8_t> copy(size_bytes);
  std::copy_n(bytes.begin(), std::min(bytes.size(), size_bytes), copy.begin());
  return copy;
}

bool BitAt(absl::Span<const uint8_t> bitmap, size_t i) {
  return ((bitmap[i / 8] >> (i % 8)) & 1) != 0;
}

// Whether all bits behind the elements are 0.
bool IsPadded(absl::Span<const uint8_t> bitmap, size_t num_elements) {
  for (size_t i = num_elements; i < 8 * bitmap.size(); ++i) {
    if (BitAt(bitmap, i)) return false;
  }
  return true;
}

// The rules of planes, element by element.
bool AreCounts(absl::Span<const uint8_t> payload, size_t num_elements, uint32_t num_participants) {
  std::vector<uint32_t> counts(num_elements);
  const size_t plane_bytes = BitmapBytes(num_elements);
  for (uint32_t plane = 0; plane < CountPlanes(num_participants); ++plane) {
    const absl::Span<const uint8_t> bitmap = payload.subspan(plane * plane_bytes, plane_bytes);
    if (!IsPadded(bitmap, num_elements)) return false;
    for (size_t i = 0; i < num_elements; ++i) counts[i] |= uint32_t{BitAt(bitmap, i)} << plane;
  }
  return std::all_of(counts.begin(), counts.end(),
                     [num_participants](uint32_t count) { return count <= num_participants; });
}

}  // namespace

std::vector<std::string> SeedInputs() {
  // 0, 1, 2, 3, 0, 0, 3, 0, 1, 2 ones from 3; a bitmap of 12; 5 of 5, 5 of 4.
  return {std::string("\x09\x03\x00\x4a\x01\x4c\x02", 7), std::string("\x0b\x00\x00\x8b\x05", 5),
          std::string("\x00\x05\x00\x01\x00\x01", 6), std::string("\x00\x04\x00\x01\x00\x01", 6)};
}

}  // namespace tally

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tally;
  if (size < 3) return 0;
  const size_t num_elements = size_t{1} + data[0];
  const uint32_t num_participants = data[1] + 256u * data[2];
  const absl::Span<const uint8_t> bytes(data + 3, size - 3);
  const size_t counts_bytes = CountsPayloadBytes(num_elements, num_participants);
  TALLY_CHECK(
      !ValidateCounts(bytes, num_elements, num_participants).ok() || bytes.size() == counts_bytes,
      "length of counts");
  TALLY_CHECK(
      !ValidateVotes(bytes, num_elements).ok() || bytes.size() == VotePayloadBytes(num_elements),
      "length of votes");
  const std::vector<uint8_t> counts = Copy(bytes, counts_bytes);
  TALLY_CHECK(ValidateCounts(counts, num_elements, num_participants).ok() ==
                  AreCounts(counts, num_elements, num_participants),
              "verdict on counts");
  const std::vector<uint8_t> votes = Copy(bytes, VotePayloadBytes(num_elements));
  TALLY_CHECK(ValidateVotes(votes, num_elements).ok() == IsPadded(votes, num_elements),
              "verdict on votes");
  return 0;
}
