#include "kernels/simd/bit_window.h"

#include <cstring>

#include "kernels/sign_block.h"

namespace tally::simd {
namespace {

uint64_t LoadWord(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

}  // namespace

void CopyBits(absl::Span<const uint8_t> bits, size_t begin, size_t num_bits, uint8_t* window) {
  const uint8_t* const source = bits.data() + begin / 8;
  const size_t shift = begin % 8;
  const size_t window_bytes = BitmapBytes(num_bits);
  if (shift == 0) {
    std::memcpy(window, source, window_bytes);
    return;
  }
  const size_t source_bytes = BitmapBytes(shift + num_bits);
  size_t i = 0;
  for (; i + 9 <= source_bytes; i += 8) {
    const uint64_t word = LoadWord(source + i) >> shift | static_cast<uint64_t>(source[i + 8])
                                                              << (64 - shift);
    std::memcpy(window + i, &word, sizeof(word));
  }
  for (; i < window_bytes; ++i) {
    const int next = i + 1 < source_bytes ? source[i + 1] : 0;
    window[i] = static_cast<uint8_t>(source[i] >> shift | next << (8 - shift));
  }
}

void PutBits(const uint8_t* window, size_t begin, size_t num_bits, absl::Span<uint8_t> bits) {
  uint8_t* const target = bits.data() + begin / 8;
  const size_t shift = begin % 8;
  // What does not fit into the bytes written so far.
  uint64_t carry = target[0] & ((1u << shift) - 1);
  size_t i = 0;
  for (; num_bits >= 64; num_bits -= 64, i += 8) {
    const uint64_t word = LoadWord(window + i);
    const uint64_t shifted = word << shift | carry;
    std::memcpy(target + i, &shifted, sizeof(shifted));
    carry = shift == 0 ? 0 : word >> (64 - shift);
  }
  // Fewer than 64 bits are left, and fewer than 8 carried.
  for (; num_bits >= 8; num_bits -= 8, ++i) {
    const uint64_t shifted = static_cast<uint64_t>(window[i]) << shift | carry;
    target[i] = static_cast<uint8_t>(shifted);
    carry = shifted >> 8;
  }
  uint64_t rest = carry;
  if (num_bits > 0) rest |= static_cast<uint64_t>(window[i] & ((1u << num_bits) - 1)) << shift;
  for (size_t rest_bits = shift + num_bits; rest_bits > 0; ++i, rest >>= 8) {
    target[i] = static_cast<uint8_t>(rest);
    rest_bits -= rest_bits < 8 ? rest_bits : 8;
  }
}

const uint8_t* BitsFrom(absl::Span<const uint8_t> bits, size_t begin, size_t num_bits,
                        uint8_t* window) {
  if (begin % 8 == 0) return bits.data() + begin / 8;
  CopyBits(bits, begin, num_bits, window);
  return window;
}

void CopyLive(absl::Span<const uint8_t> live, size_t begin, size_t num_bits, size_t window_bits,
              uint8_t* window) {
  std::memset(window, 0, window_bits / 8);
  if (live.empty()) {
    std::memset(window, 0xff, BitmapBytes(num_bits));
  } else {
    CopyBits(live, begin, num_bits, window);
  }
  if (num_bits % 8 != 0) {
    window[num_bits / 8] &= static_cast<uint8_t>((1u << num_bits % 8) - 1);
  }
}

}  // namespace tally::simd
