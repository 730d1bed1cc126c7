#include "aggregator/residual_custody.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

const std::vector<MemberId>& Members() {
  static const auto* const members =
      new std::vector<MemberId>{{"w-0", 1}, {"w-1", 1}, {"w-2", 1}, {"w-3", 1}};
  return *members;
}

std::shared_ptr<const ResidualSnapshot> SnapshotAfter(uint64_t round, uint64_t chain) {
  return std::make_shared<const ResidualSnapshot>(
      ResidualSnapshot{.chunk = 0, .place = {round, 0}, .chain = chain});
}

TEST(ResidualCustodyTest, IsDueOnceAnIntervalStaggeredOverChunks) {
  for (uint32_t chunk = 0; chunk < 8; ++chunk) {
    const ResidualCustody custody(chunk, 8);
    for (uint64_t round = 0; round < 32; ++round) {
      EXPECT_EQ(custody.IsDue({round, 0}, false), (round + chunk) % 8 == 0);
      EXPECT_TRUE(custody.IsDue({round, 0}, /*names_departure=*/true));
    }
  }
}

TEST(ResidualCustodyTest, CountsOnceItsCustodianHasAcknowledged) {
  ResidualCustody custody(0, 8);
  const auto order = custody.Begin(SnapshotAfter(5, 55), 3, Members());
  ASSERT_TRUE(order.has_value());
  EXPECT_FALSE(custody.floor().has_value());
  EXPECT_FALSE(custody.Acknowledge(order->custodian, {5, 0}, 56)) << "another history's";
  EXPECT_FALSE(custody.Acknowledge(order->custodian, {4, 0}, 55));
  EXPECT_FALSE(custody.Acknowledge({order->custodian.worker, 2}, {5, 0}, 55));
  EXPECT_TRUE(custody.Acknowledge(order->custodian, {5, 0}, 55));
  ASSERT_TRUE(custody.floor().has_value());
  EXPECT_EQ(custody.floor()->chain, 55u);
  EXPECT_EQ(custody.floor()->epoch, 3u);
  EXPECT_FALSE(custody.floor()->is_zero);
  EXPECT_FALSE(custody.Acknowledge(order->custodian, {5, 0}, 55)) << "it counts once";
}

TEST(ResidualCustodyTest, ASilentCustodianIsFollowedByTheNextUntilAllWereAsked) {
  ResidualCustody custody(0, 8);
  std::set<std::string> asked = {
      custody.Begin(SnapshotAfter(5, 55), 0, Members())->custodian.worker};
  absl::optional<ResidualCustody::Order> last;
  for (int result = 1; result <= 6; ++result) {
    const auto order = custody.AfterResult();
    EXPECT_EQ(order.has_value(), result % 2 == 0) << "a quarter of eight results";
    if (!order.has_value()) continue;
    asked.insert(order->custodian.worker);
    last = order;
  }
  EXPECT_EQ(asked.size(), 4u);
  EXPECT_TRUE(custody.Acknowledge(last->custodian, {5, 0}, 55));
}

TEST(ResidualCustodyTest, SpreadsSnapshotsOverTheMembers) {
  ResidualCustody custody(0, 8);
  std::set<std::string> custodians;
  for (uint64_t chain = 0; chain < 64; ++chain) {
    custodians.insert(custody.Begin(SnapshotAfter(chain, chain), 0, Members())->custodian.worker);
  }
  EXPECT_EQ(custodians.size(), 4u);
}

TEST(ResidualCustodyTest, WithoutCandidatesNothingIsBegun) {
  ResidualCustody custody(0, 8);
  EXPECT_FALSE(custody.Begin(SnapshotAfter(5, 55), 0, {}).has_value());
  EXPECT_FALSE(custody.AfterResult().has_value());
}

TEST(ResidualCustodyTest, IsUnprotectedAfterTwoIntervalsWithoutAFloor) {
  ResidualCustody custody(0, 4);
  for (int result = 0; result < 8; ++result) custody.AfterResult();
  EXPECT_FALSE(custody.unprotected());
  custody.AfterResult();
  EXPECT_TRUE(custody.unprotected());
  const auto order = custody.Begin(SnapshotAfter(9, 99), 0, Members());
  EXPECT_TRUE(custody.Acknowledge(order->custodian, {9, 0}, 99));
  EXPECT_FALSE(custody.unprotected());
}

}  // namespace
}  // namespace tally
