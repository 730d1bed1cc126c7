#include "kernels/scalar/reductions.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally::scalar {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// The first integer to which fp64 cannot add 1: 2^53 + 1 rounds back, 2^53 + 2 does not.
constexpr float kLarge = 0x1p53f;

// Zeros but for the elements given.
std::vector<float> Sparse(size_t size, const std::vector<std::pair<size_t, float>>& elements) {
  std::vector<float> x(size, 0.0f);
  for (const auto& [i, value] : elements) x[i] = value;
  return x;
}

TEST(SumOfSquaresTest, AddsSquares) {
  EXPECT_EQ(SumOfSquares(std::vector<float>{1.0f, -2.0f, 3.0f}), 14.0);
}

TEST(SumOfSquaresTest, SquaresInFp64) {
  // In fp32 the square would be infinite, and that of the subnormal 0.
  EXPECT_EQ(SumOfSquares(std::vector<float>{0x1p127f}), 0x1p254);
  EXPECT_EQ(SumOfSquares(std::vector<float>{0x1p-149f}), 0x1p-298);
}

TEST(SumOfSquaresTest, IsExactOnDyadicInputs) {
  std::vector<float> x;
  int64_t sum = 0;
  for (int k = -256; k <= 256; ++k) {
    x.push_back(static_cast<float>(k) / 64);
    sum += int64_t{k} * k;
  }
  EXPECT_EQ(SumOfSquares(x), static_cast<double>(sum) / (64 * 64));
}

TEST(SumOfMagnitudesTest, AddsMagnitudes) {
  EXPECT_EQ(SumOfMagnitudes(std::vector<float>{1.0f, -2.0f, -0.0f, 3.5f}), 6.5);
}

TEST(SumOfMagnitudesTest, ElementsOneStripeApartShareAPartialSum) {
  EXPECT_EQ(SumOfMagnitudes(Sparse(96, {{0, kLarge}, {32, 1.0f}, {64, 1.0f}})), 0x1p53);
  EXPECT_EQ(SumOfMagnitudes(Sparse(96, {{0, 1.0f}, {32, 1.0f}, {64, kLarge}})), 0x1p53 + 2);
}

TEST(SumOfMagnitudesTest, PartialSumsAreFoldedInHalves) {
  // 1 and 3 meet when halves of two are folded, before they meet 0; 1 and 2 meet only in 0.
  EXPECT_EQ(SumOfMagnitudes(Sparse(32, {{0, kLarge}, {1, 1.0f}, {3, 1.0f}})), 0x1p53 + 2);
  EXPECT_EQ(SumOfMagnitudes(Sparse(32, {{0, kLarge}, {1, 1.0f}, {2, 1.0f}})), 0x1p53);
  EXPECT_EQ(SumOfMagnitudes(Sparse(32, {{0, kLarge}, {8, 1.0f}, {24, 1.0f}})), 0x1p53 + 2);
}

TEST(SumOfMagnitudesTest, BlocksAreSummedBeforeTheyAreAdded) {
  EXPECT_EQ(SumOfMagnitudes(Sparse(4098, {{0, kLarge}, {4095, 1.0f}, {4096, 1.0f}})), 0x1p53);
  EXPECT_EQ(SumOfMagnitudes(Sparse(4098, {{0, kLarge}, {4096, 1.0f}, {4097, 1.0f}})), 0x1p53 + 2);
}

TEST(DotProductTest, AddsProductsInFp64) {
  EXPECT_EQ(DotProduct(std::vector<float>{1.0f, -2.0f, 3.0f}, std::vector<float>{4.0f, 5.0f, 6.0f}),
            12.0);
  EXPECT_EQ(DotProduct(std::vector<float>{0x1p127f}, std::vector<float>{-0x1p127f}), -0x1p254);
}

TEST(DotProductTest, HasTheOrderOfSumOfMagnitudes) {
  const std::vector<float> ones(4098, 1.0f);
  for (const auto& x : {Sparse(4098, {{0, kLarge}, {32, 1.0f}, {64, 1.0f}}),
                        Sparse(4098, {{0, kLarge}, {1, 1.0f}, {3, 1.0f}}),
                        Sparse(4098, {{0, kLarge}, {4096, 1.0f}, {4097, 1.0f}})}) {
    EXPECT_EQ(DotProduct(x, ones), SumOfMagnitudes(x));
  }
}

TEST(AllWithinTest, TheBoundIsWithin) {
  EXPECT_TRUE(AllWithin(std::vector<float>{-2.0f, 2.0f, -0.0f}, 2.0f));
  EXPECT_FALSE(AllWithin(std::vector<float>{0.0f, -2.5f}, 2.0f));
}

TEST(AllWithinTest, OnlyFiniteNumbersAreWithin) {
  EXPECT_TRUE(AllWithin(std::vector<float>{std::numeric_limits<float>::max()}, kInfinity));
  EXPECT_FALSE(AllWithin(std::vector<float>{kInfinity}, kInfinity));
  EXPECT_FALSE(AllWithin(std::vector<float>{kNan}, kInfinity));
  EXPECT_FALSE(AllWithin(std::vector<float>{0.0f}, kNan));
}

}  // namespace
}  // namespace tally::scalar
