#include "kernels/scalar/half.h"

namespace tally::scalar {
namespace {

constexpr uint32_t kMagnitudeBits = 0x7fffffff;
constexpr uint32_t kInfinity32 = 0x7f800000;
constexpr uint16_t kInfinity16 = 0x7c00;
constexpr uint16_t kQuietBit16 = 0x0200;
constexpr uint32_t kImplicitBit32 = 0x00800000;

// binary32 keeps 13 more bits of the mantissa, and its exponent's bias is 112 larger.
constexpr int kMantissaShift = 13;
constexpr uint32_t kBiasDifference = 112;

constexpr uint32_t kSmallestNormal16 = (kBiasDifference + 1) << 23;  // 2^-14 as binary32
constexpr uint32_t kHalfSmallestSubnormal16 = (127 - 25) << 23;      // 2^-25 as binary32

// value / 2^shift, to nearest even. shift is 1 to 31.
uint32_t ShiftRounded(uint32_t value, int shift) {
  const uint32_t quotient = value >> shift;
  const uint32_t remainder = value & ((uint32_t{1} << shift) - 1);
  const uint32_t half = uint32_t{1} << (shift - 1);
  const bool up = remainder > half || (remainder == half && (quotient & 1) == 1);
  return quotient + (up ? 1 : 0);
}

}  // namespace

float DecodeFloat16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t magnitude = bits & 0x7fff;
  if (magnitude >= kInfinity16) {
    return std::bit_cast<float>(sign | kInfinity32 | (magnitude & 0x03ff) << kMantissaShift);
  }
  if (magnitude >= 0x0400) {
    return std::bit_cast<float>(sign | ((magnitude << kMantissaShift) + (kBiasDifference << 23)));
  }
  // Subnormal: a count of 2^-24, which binary32 holds as a normal number.
  const float value = static_cast<float>(magnitude) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
}

uint16_t EncodeBFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & kMagnitudeBits) > kInfinity32) return static_cast<uint16_t>(bits >> 16 | 0x0040);
  // A carry out of the mantissa moves on to the next exponent, and from the largest one to
  // infinity.
  return static_cast<uint16_t>(ShiftRounded(bits, 16));
}

uint16_t EncodeFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & kMagnitudeBits;
  if (magnitude > kInfinity32) {
    const uint32_t payload = magnitude >> kMantissaShift & 0x03ff;
    return static_cast<uint16_t>(sign | kInfinity16 | kQuietBit16 | payload);
  }
  uint32_t result = 0;
  if (magnitude >= kSmallestNormal16) {
    result = ShiftRounded(magnitude - (kBiasDifference << 23), kMantissaShift);
  } else if (magnitude >= kHalfSmallestSubnormal16) {
    const int exponent = static_cast<int>(magnitude >> 23);
    const uint32_t mantissa = (magnitude & (kImplicitBit32 - 1)) | kImplicitBit32;
    // The unit of the mantissa is 2^(exponent - 150), that of the result 2^-24.
    result = ShiftRounded(mantissa, 126 - exponent);
  }
  if (result > kInfinity16) result = kInfinity16;
  return static_cast<uint16_t>(sign | result);
}

}  // namespace tally::scalar
