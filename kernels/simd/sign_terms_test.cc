#include "kernels/simd/sign_terms.h"

#include <vector>

#include "gtest/gtest.h"

namespace tally::simd {
namespace {

class SignTermsTest : public testing::Test {
 protected:
  const std::vector<uint8_t> first_bits_ = {0x21, 0x43, 0x65};
  const std::vector<uint8_t> second_bits_ = {0xba, 0xdc, 0xfe};
  const std::vector<float> first_scales_ = {1.0f, 2.0f};
  const std::vector<float> second_scales_ = {3.0f, 4.0f};
  const std::vector<SignBlock> blocks_ = {{first_bits_, first_scales_},
                                          {second_bits_, second_scales_}};
  SignTerms terms_{blocks_, 64};
};

TEST_F(SignTermsTest, PointIntoTheBlocksAtAByteBoundary) {
  terms_.MoveTo(1, 8, 16);
  EXPECT_EQ(terms_.terms()[0].bits, first_bits_.data() + 1);
  EXPECT_EQ(terms_.terms()[0].scale, 2.0f);
  EXPECT_EQ(terms_.terms()[1].bits, second_bits_.data() + 1);
  EXPECT_EQ(terms_.terms()[1].scale, 4.0f);
}

TEST_F(SignTermsTest, AreShiftedInsideAByte) {
  terms_.MoveTo(0, 4, 16);
  EXPECT_EQ(terms_.terms()[0].bits[0], 0x32);
  EXPECT_EQ(terms_.terms()[0].bits[1], 0x54);
  EXPECT_EQ(terms_.terms()[1].bits[0], 0xcb);
  EXPECT_EQ(terms_.terms()[1].scale, 3.0f);
}

TEST_F(SignTermsTest, PaddedOnesAreCopiedSoThatAWholeRunCanBeRead) {
  terms_.MoveToPadded(0, 16, 8);
  EXPECT_NE(terms_.terms()[0].bits, first_bits_.data() + 2);
  EXPECT_EQ(terms_.terms()[0].bits[0], 0x65);
  EXPECT_EQ(terms_.terms()[1].bits[0], 0xfe);
  // The windows of two participants lie apart.
  EXPECT_EQ(terms_.terms()[1].bits - terms_.terms()[0].bits, 8);
}

}  // namespace
}  // namespace tally::simd
