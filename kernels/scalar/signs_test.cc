#include "kernels/scalar/signs.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally::scalar {
namespace {

using testing::ElementsAre;

TEST(PackSignsTest, BothZerosCountAsPositive) {
  const std::vector<float> x = {1.0f, -1.0f, 0.0f, -0.0f, -0x1p-149f, INFINITY, -INFINITY, 2.0f};
  std::vector<uint8_t> bits(1);
  PackSigns(x, absl::MakeSpan(bits));
  EXPECT_THAT(bits, ElementsAre(0b10101101));
}

TEST(PackSignsTest, UnusedBitsAreZero) {
  const std::vector<float> x(11, 1.0f);
  std::vector<uint8_t> bits = {0xff, 0xff};
  PackSigns(x, absl::MakeSpan(bits));
  EXPECT_THAT(bits, ElementsAre(0xff, 0b00000111));
}

TEST(SumSignsTest, AddsSignedScalesOfEachSegment) {
  // Segments [0, 3) and [3, 10): the second one starts inside a byte.
  const std::vector<uint32_t> ends = {3, 10};
  const std::vector<uint8_t> first_bits = {0b01010101, 0b01};
  const std::vector<float> first_scales = {1.0f, 8.0f};
  const std::vector<uint8_t> second_bits = {0b00001111, 0b11};
  const std::vector<float> second_scales = {0.5f, 2.0f};
  const std::vector<SignBlock> blocks = {{first_bits, first_scales}, {second_bits, second_scales}};
  std::vector<float> sums(10);
  SumSigns(blocks, ends, {}, absl::MakeSpan(sums));
  EXPECT_THAT(sums,
              ElementsAre(1.5f, -0.5f, 1.5f, -6.0f, 6.0f, -10.0f, 6.0f, -10.0f, 10.0f, -6.0f));
}

TEST(SumSignsTest, OneBlockIsDecodedAndMaskedElementsArePositiveZero) {
  const std::vector<uint8_t> bits = {0b0101};
  const std::vector<float> scales = {3.0f};
  const std::vector<SignBlock> blocks = {{bits, scales}};
  const std::vector<uint8_t> live = {0b0011};
  std::vector<float> out(4, -1.0f);
  SumSigns(blocks, std::vector<uint32_t>{4}, live, absl::MakeSpan(out));
  EXPECT_THAT(out, ElementsAre(3.0f, -3.0f, 0.0f, 0.0f));
  EXPECT_FALSE(std::signbit(out[3]));
}

TEST(SumSignsTest, AddsInTheOrderOfTheBlocks) {
  // (2^24 + 1) + 1 stays 2^24 at every step, 1 + 1 + 2^24 does not.
  const std::vector<uint8_t> bits = {1};
  const std::vector<float> large = {0x1p24f};
  const std::vector<float> one = {1.0f};
  const std::vector<uint32_t> ends = {1};
  std::vector<float> out(1);
  SumSigns({{bits, large}, {bits, one}, {bits, one}}, ends, {}, absl::MakeSpan(out));
  EXPECT_EQ(out[0], 0x1p24f);
  SumSigns({{bits, one}, {bits, one}, {bits, large}}, ends, {}, absl::MakeSpan(out));
  EXPECT_EQ(out[0], 0x1p24f + 2.0f);
}

TEST(AccumulateTest, TakesOutWhatWasCountedAndAddsTheInput) {
  std::vector<float> sum = {1.0f, 2.0f, 3.0f, 4.0f};
  const std::vector<float> input = {0.5f, 0.5f, -8.0f, 0.5f};
  const std::vector<uint8_t> counted_bits = {0b0101};
  const std::vector<float> counted_scales = {1.0f, 2.0f};
  std::vector<double> norms(2);
  Accumulate({.sum = absl::MakeSpan(sum),
              .input = input,
              .counted = {counted_bits, counted_scales},
              .segment_ends = std::vector<uint32_t>{2, 4},
              .live = {},
              .rule = ScaleRule::kMeanMagnitude,
              .norms = absl::MakeSpan(norms)});
  EXPECT_THAT(sum, ElementsAre(0.5f, 3.5f, -7.0f, 6.5f));
  EXPECT_THAT(norms, ElementsAre(4.0, 13.5));
}

TEST(AccumulateTest, MaskedElementsBecomeZeroAndCountInNoNorm) {
  std::vector<float> sum = {1.0f, NAN, 3.0f};
  const std::vector<float> input = {1.0f, 1.0f, 1.0f};
  const std::vector<uint8_t> live = {0b101};
  std::vector<double> norms(1);
  Accumulate({.sum = absl::MakeSpan(sum),
              .input = input,
              .counted = {},
              .segment_ends = std::vector<uint32_t>{3},
              .live = live,
              .rule = ScaleRule::kRootMeanSquare,
              .norms = absl::MakeSpan(norms)});
  EXPECT_THAT(sum, ElementsAre(2.0f, 0.0f, 4.0f));
  EXPECT_THAT(norms, ElementsAre(20.0));
}

// Two participants, scales 1 and 3, signs + - + - and + + - -: the sums are 4, 2, -2, -4 and their
// halves 2, 1, -1, -2.
class SignRoundTest : public testing::Test {
 protected:
  void Run(ScaleRule rule, absl::Span<const uint8_t> live) {
    const std::vector<SignBlock> blocks = {{first_bits_, first_scales_},
                                           {second_bits_, second_scales_}};
    SignRound({.blocks = blocks,
               .divisor = 2.0f,
               .segment_ends = std::vector<uint32_t>{4},
               .live = live,
               .rule = rule,
               .residual = absl::MakeSpan(residual_),
               .bits = absl::MakeSpan(bits_),
               .scales = absl::MakeSpan(scales_)});
  }

  const std::vector<uint8_t> first_bits_ = {0b0101};
  const std::vector<uint8_t> second_bits_ = {0b0011};
  const std::vector<float> first_scales_ = {1.0f};
  const std::vector<float> second_scales_ = {3.0f};
  std::vector<float> residual_;
  std::vector<uint8_t> bits_ = {0xff};
  std::vector<float> scales_ = {-1.0f};
};

TEST_F(SignRoundTest, KeepsWhatTheSignsLeaveOut) {
  residual_ = {1.0f, -1.0f, 0.5f, -1.0f};
  Run(ScaleRule::kMeanMagnitude, {});
  // 3, 0, -0.5, -3: magnitudes add up to 6.5.
  EXPECT_THAT(scales_, ElementsAre(1.625f));
  EXPECT_THAT(bits_, ElementsAre(0b0011));
  EXPECT_THAT(residual_, ElementsAre(1.375f, -1.625f, 1.125f, -1.375f));
}

TEST_F(SignRoundTest, RootMeanSquareOfEqualMagnitudesLeavesNothing) {
  residual_ = {1.0f, -4.0f, 4.0f, 5.0f};
  Run(ScaleRule::kRootMeanSquare, {});
  EXPECT_THAT(scales_, ElementsAre(3.0f));
  EXPECT_THAT(bits_, ElementsAre(0b1101));
  EXPECT_THAT(residual_, ElementsAre(0.0f, 0.0f, 0.0f, 0.0f));
}

TEST_F(SignRoundTest, MaskedElementsHaveNoResidualAndCountInNoScale) {
  residual_ = {1.0f, 5.0f, 0.5f, 7.0f};
  const std::vector<uint8_t> live = {0b0101};
  Run(ScaleRule::kMeanMagnitude, live);
  // 3, masked, -0.5, masked.
  EXPECT_THAT(scales_, ElementsAre(1.75f));
  EXPECT_THAT(bits_, ElementsAre(0b1011));
  EXPECT_THAT(residual_, ElementsAre(1.25f, 0.0f, 1.25f, 0.0f));
}

TEST_F(SignRoundTest, ScaleIsZeroWhereNothingLives) {
  residual_ = {1.0f, 2.0f, 3.0f, 4.0f};
  const std::vector<uint8_t> live = {0};
  Run(ScaleRule::kRootMeanSquare, live);
  EXPECT_THAT(scales_, ElementsAre(0.0f));
  EXPECT_THAT(residual_, ElementsAre(0.0f, 0.0f, 0.0f, 0.0f));
}

TEST(SignRoundLedgerTest, ResultPlusResidualIsExactlyMeanPlusOldResidual) {
  // A constant magnitude keeps the scale dyadic, and with it every number of the ledger.
  constexpr size_t kSize = 300;
  const std::vector<uint32_t> ends = {5, 150, kSize};
  std::vector<float> old_residual;
  std::vector<uint8_t> bits(BitmapBytes(kSize));
  for (size_t i = 0; i < kSize; ++i) old_residual.push_back(i % 3 == 0 ? 0.75f : -0.25f);
  for (size_t i = 0; i < kSize; i += 3) bits[i / 8] |= static_cast<uint8_t>(1 << (i % 8));
  const std::vector<float> scales = {0.5f, 0.5f, 0.5f};
  // 0.5 + 0.75 where the bit is set, -0.5 - 0.25 elsewhere: magnitudes 1.25 and 0.75.
  std::vector<float> residual = old_residual;
  std::vector<uint8_t> result_bits(bits.size());
  std::vector<float> result_scales(ends.size());
  SignRound({.blocks = {{bits, scales}},
             .divisor = 1.0f,
             .segment_ends = ends,
             .live = {},
             .rule = ScaleRule::kMeanMagnitude,
             .residual = absl::MakeSpan(residual),
             .bits = absl::MakeSpan(result_bits),
             .scales = absl::MakeSpan(result_scales)});
  EXPECT_EQ(result_bits, bits);
  std::vector<float> result(kSize);
  SumSigns({{result_bits, result_scales}}, ends, {}, absl::MakeSpan(result));
  for (size_t i = 0; i < kSize; ++i) {
    const float a = i % 3 == 0 ? 1.25f : -0.75f;
    const float scale = result_scales[i < 5 ? 0 : i < 150 ? 1 : 2];
    EXPECT_EQ(std::abs(result[i]), scale);
    EXPECT_EQ(residual[i], a - result[i]) << "element " << i;
  }
}

}  // namespace
}  // namespace tally::scalar
