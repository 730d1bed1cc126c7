#include "kernels/simd/bit_window.h"

#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/sign_block.h"

namespace tally::simd {
namespace {

constexpr size_t kBits = 300;

std::vector<uint8_t> RandomBits() {
  std::mt19937 random(static_cast<uint32_t>(testing::UnitTest::GetInstance()->random_seed()));
  std::vector<uint8_t> bits(BitmapBytes(kBits));
  for (uint8_t& byte : bits) byte = static_cast<uint8_t>(random());
  return bits;
}

bool Bit(absl::Span<const uint8_t> bits, size_t i) { return (bits[i / 8] >> (i % 8)) & 1; }

// Calls function(begin, num_bits) for runs of every length from every place within a word.
template <typename Function>
void ForEachRun(Function function) {
  for (size_t begin = 0; begin < 70; ++begin) {
    for (size_t num_bits = 1; begin + num_bits <= kBits; ++num_bits) function(begin, num_bits);
  }
}

TEST(CopyBitsTest, CopiesAnyRun) {
  const std::vector<uint8_t> bits = RandomBits();
  ForEachRun([&](size_t begin, size_t num_bits) {
    std::vector<uint8_t> window(BitmapBytes(num_bits));
    CopyBits(bits, begin, num_bits, window.data());
    for (size_t i = 0; i < num_bits; ++i) {
      ASSERT_EQ(Bit(window, i), Bit(bits, begin + i)) << begin << ", " << num_bits << ", " << i;
    }
  });
}

TEST(PutBitsTest, WritesAnyRunKeepsWhatIsBeforeAndClearsTheRestOfTheLastByte) {
  const std::vector<uint8_t> window = RandomBits();
  ForEachRun([&](size_t begin, size_t num_bits) {
    std::vector<uint8_t> bits(BitmapBytes(kBits) + 1, 0xff);
    PutBits(window.data(), begin, num_bits, absl::MakeSpan(bits));
    for (size_t i = 0; i < 8 * bits.size(); ++i) {
      const size_t end = begin + num_bits;
      const bool expected = i < begin                  ? true
                            : i < end                  ? Bit(window, i - begin)
                            : i < 8 * BitmapBytes(end) ? false
                                                       : true;
      ASSERT_EQ(Bit(bits, i), expected) << begin << ", " << num_bits << ", " << i;
    }
  });
}

TEST(BitsFromTest, StaysInPlaceAtAByteBoundary) {
  const std::vector<uint8_t> bits = RandomBits();
  uint8_t window[2] = {};
  EXPECT_EQ(BitsFrom(bits, 16, 12, window), bits.data() + 2);
  EXPECT_EQ(BitsFrom(bits, 17, 12, window), window);
  EXPECT_EQ(Bit(window, 0), Bit(bits, 17));
}

TEST(CopyLiveTest, WhatIsBeyondTheRunIsMasked) {
  const std::vector<uint8_t> live = RandomBits();
  ForEachRun([&](size_t begin, size_t num_bits) {
    uint8_t window[48];
    CopyLive(live, begin, num_bits, 8 * sizeof(window), window);
    for (size_t i = 0; i < 8 * sizeof(window); ++i) {
      ASSERT_EQ(Bit(window, i), i < num_bits && Bit(live, begin + i));
    }
  });
}

TEST(CopyLiveTest, WithoutAMaskTheRunLives) {
  uint8_t window[4];
  CopyLive({}, 5, 11, 32, window);
  EXPECT_THAT(window, testing::ElementsAre(0xff, 0b111, 0, 0));
}

}  // namespace
}  // namespace tally::simd
