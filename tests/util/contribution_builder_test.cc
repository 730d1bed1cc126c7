#include "tests/util/contribution_builder.h"

#include "base/digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/hello_builder.h"

namespace tally {
namespace {

using ::testing::SizeIs;

TEST(ContributionBuilderTest, DensePayloadHoldsLittleEndianFloats) {
  EXPECT_EQ(DensePayload({1.0f, -2.0f}), std::string("\x00\x00\x80\x3f\x00\x00\x00\xc0", 8));
}

TEST(ContributionBuilderTest, SignPayloadHasNoUnusedBitsAndFlipsTheNegativeOnes) {
  EXPECT_EQ(SignPayload({1.0f}, 10, {1, 9}), std::string("\x00\x00\x80\x3f\xfd\x01", 6));
}

TEST(ContributionBuilderTest, SlicesJoinToThePayloadAndOnlyTheFirstTellsAll) {
  const v1::Hello hello = HelloBuilder().Worker("w-3", 5).Build();
  const TestContribution contribution =
      MakeContribution(hello, 1, 9, 77, DenseFloat32(), std::string(1000, 'x'));
  const std::vector<v1::ClientMessage> slices = contribution.Slices(400);
  ASSERT_THAT(slices, SizeIs(3));
  std::string joined;
  for (const v1::ClientMessage& slice : slices) {
    EXPECT_EQ(slice.contribution().chunk(), 1u);
    EXPECT_EQ(slice.contribution().round(), 9u);
    EXPECT_EQ(slice.contribution().slice().offset_bytes(), joined.size());
    EXPECT_EQ(slice.contribution().slice().total_bytes(), 1000u);
    EXPECT_EQ(slice.contribution().has_exchange(), joined.empty());
    joined += slice.payload();
  }
  EXPECT_EQ(joined, contribution.payload);
  EXPECT_EQ(slices[0].contribution().payload_digest(), Digest64(contribution.payload));
  EXPECT_EQ(slices[0].contribution().member().worker(), "w-3");
  EXPECT_EQ(slices[0].contribution().prev_chain(), 77u);
}

TEST(ContributionBuilderTest, AnAbstentionIsOneMessageWithoutPayload) {
  const std::vector<v1::ClientMessage> slices =
      MakeAbstention(HelloBuilder().Build(), 0, 0, 1, DenseFloat32()).Slices(400);
  ASSERT_THAT(slices, SizeIs(1));
  EXPECT_TRUE(slices[0].contribution().abstain());
  EXPECT_TRUE(slices[0].payload().empty());
}

}  // namespace
}  // namespace tally
