// The 16-bit number formats in integers: exact one way, rounded to nearest even the other.
#ifndef TALLY_KERNELS_SCALAR_HALF_H_
#define TALLY_KERNELS_SCALAR_HALF_H_

#include <bit>
#include <cstdint>

namespace tally::scalar {

// Exact; the payload of a NaN is kept.
constexpr float DecodeBFloat16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

// Exact; the payload of a NaN is kept.
float DecodeFloat16(uint16_t bits);

// Rounds to nearest even. A NaN stays one: it becomes quiet and keeps its sign and the upper bits
// of its payload.
uint16_t EncodeBFloat16(float value);

// Like EncodeBFloat16; from 65,520 on magnitudes become infinity, down to 2^-25 they become 0.
uint16_t EncodeFloat16(float value);

}  // namespace tally::scalar

#endif  // TALLY_KERNELS_SCALAR_HALF_H_
