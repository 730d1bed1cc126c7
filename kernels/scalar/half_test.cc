#include "kernels/scalar/half.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace tally::scalar {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float FromBits(uint32_t bits) { return std::bit_cast<float>(bits); }

TEST(Float16Test, EveryNumberIsItsMantissaTimesAPowerOfTwo) {
  for (int word = 0; word < 0x7c00; ++word) {
    const int exponent = word >> 10;
    const int fraction = word & 0x3ff;
    const double magnitude =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    EXPECT_EQ(DecodeFloat16(static_cast<uint16_t>(word)), magnitude) << word;
    EXPECT_EQ(DecodeFloat16(static_cast<uint16_t>(word | 0x8000)), -magnitude) << word;
  }
}

TEST(Float16Test, DecodesSpecialValues) {
  EXPECT_TRUE(std::signbit(DecodeFloat16(0x8000)));
  EXPECT_EQ(DecodeFloat16(0x7c00), kInfinity);
  EXPECT_EQ(DecodeFloat16(0xfc00), -kInfinity);
  for (int word = 0x7c01; word < 0x8000; ++word) {
    EXPECT_TRUE(std::isnan(DecodeFloat16(static_cast<uint16_t>(word)))) << word;
  }
}

TEST(Float16Test, EncodesEveryNumberToItself) {
  for (int word = 0; word <= 0xffff; ++word) {
    const uint16_t bits = static_cast<uint16_t>(word);
    if (std::isnan(DecodeFloat16(bits))) continue;
    EXPECT_EQ(EncodeFloat16(DecodeFloat16(bits)), bits);
  }
}

TEST(Float16Test, RoundsToTheNearerNeighbourAndTiesToEven) {
  for (int word = 0; word + 1 < 0x7c00; ++word) {
    const uint16_t low = static_cast<uint16_t>(word);
    const uint16_t high = static_cast<uint16_t>(word + 1);
    // Exact: binary32 has 13 more bits.
    const float middle = (DecodeFloat16(low) + DecodeFloat16(high)) / 2;
    EXPECT_EQ(EncodeFloat16(middle), word % 2 == 0 ? low : high) << word;
    EXPECT_EQ(EncodeFloat16(std::nextafter(middle, 0.0f)), low) << word;
    EXPECT_EQ(EncodeFloat16(std::nextafter(middle, kInfinity)), high) << word;
    EXPECT_EQ(EncodeFloat16(-middle), EncodeFloat16(middle) | 0x8000) << word;
  }
}

TEST(Float16Test, EncodesKnownValues) {
  EXPECT_EQ(EncodeFloat16(1.0f), 0x3c00);
  EXPECT_EQ(EncodeFloat16(-2.0f), 0xc000);
  EXPECT_EQ(EncodeFloat16(65504.0f), 0x7bff);
  EXPECT_EQ(EncodeFloat16(65519.0f), 0x7bff);
  EXPECT_EQ(EncodeFloat16(65520.0f), 0x7c00);
  EXPECT_EQ(EncodeFloat16(-1e30f), 0xfc00);
  EXPECT_EQ(EncodeFloat16(0x1p-24f), 0x0001);
  EXPECT_EQ(EncodeFloat16(0x1p-25f), 0x0000);
  EXPECT_EQ(EncodeFloat16(std::nextafter(0x1p-25f, 1.0f)), 0x0001);
  EXPECT_EQ(EncodeFloat16(-0x1p-149f), 0x8000);
}

TEST(Float16Test, NanBecomesQuietAndKeepsSignAndUpperPayload) {
  EXPECT_EQ(EncodeFloat16(FromBits(0x7fc00000)), 0x7e00);
  EXPECT_EQ(EncodeFloat16(FromBits(0xff802000)), 0xfe01);
  EXPECT_EQ(EncodeFloat16(FromBits(0x7f800001)), 0x7e00);
}

TEST(BFloat16Test, IsTheUpperHalf) {
  EXPECT_EQ(DecodeBFloat16(0x3f80), 1.0f);
  EXPECT_EQ(DecodeBFloat16(0xc040), -3.0f);
  EXPECT_EQ(DecodeBFloat16(0x0001), 0x1p-133f);
  EXPECT_EQ(DecodeBFloat16(0x7f80), kInfinity);
}

TEST(BFloat16Test, RoundsToTheNearerNeighbourAndTiesToEven) {
  for (uint32_t word = 0; word < 0x7f80; ++word) {
    const uint32_t middle = word << 16 | 0x8000;
    EXPECT_EQ(EncodeBFloat16(FromBits(word << 16)), word);
    EXPECT_EQ(EncodeBFloat16(FromBits(middle - 1)), word);
    EXPECT_EQ(EncodeBFloat16(FromBits(middle)), word % 2 == 0 ? word : word + 1);
    EXPECT_EQ(EncodeBFloat16(FromBits(middle + 1)), word + 1);
    EXPECT_EQ(EncodeBFloat16(FromBits(0x80000000 | (middle + 1))), 0x8000 | (word + 1));
  }
}

TEST(BFloat16Test, TooLargeBecomesInfinityAndNanStaysOne) {
  EXPECT_EQ(EncodeBFloat16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(EncodeBFloat16(-kInfinity), 0xff80);
  EXPECT_EQ(EncodeBFloat16(FromBits(0x7f800001)), 0x7fc0);
  EXPECT_EQ(EncodeBFloat16(FromBits(0xffffffff)), 0xffff);
}

}  // namespace
}  // namespace tally::scalar
