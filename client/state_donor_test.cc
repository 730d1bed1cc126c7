#include "client/state_donor.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

const absl::Time kNow = absl::FromUnixSeconds(1000);

v1::StateRequest RequestOf(uint64_t id, const std::string& newcomer, uint64_t min_round,
                           uint64_t received_bytes = 0) {
  v1::StateRequest request;
  request.set_id(id);
  request.mutable_newcomer()->set_worker(newcomer);
  request.set_min_round(min_round);
  request.set_received_bytes(received_bytes);
  return request;
}

SharedBuffer StateOf(size_t size) { return std::make_shared<const Buffer>(size); }

uint64_t EndOf(const StateDonor::Part& part) {
  return part.message.slice().offset_bytes() + part.piece.size();
}

TEST(StateDonorTest, AStateIsWantedWhenItIsLateEnough) {
  StateDonor donor;
  EXPECT_FALSE(donor.wanted(100));
  EXPECT_THAT(donor.Request(0, RequestOf(1, "w-9", 7), kNow), IsEmpty());
  EXPECT_FALSE(donor.wanted(7));
  EXPECT_TRUE(donor.wanted(8));
  EXPECT_THAT(donor.Give(v1::StatePart(), StateOf(10), 7), IsEmpty());
  EXPECT_THAT(donor.Give(v1::StatePart(), StateOf(10), 8), SizeIs(1));
  EXPECT_FALSE(donor.wanted(8));
}

TEST(StateDonorTest, SendsAsMuchAsTheNewcomerTakesIn) {
  StateDonor donor;
  const size_t size = 2 * kStateWindowBytes + 10;
  donor.Request(1, RequestOf(1, "w-9", 0), kNow);
  v1::StatePart head;
  head.set_round(5);
  std::vector<StateDonor::Part> parts = donor.Give(head, StateOf(size), 6);
  ASSERT_FALSE(parts.empty());
  EXPECT_EQ(parts[0].aggregator, 1u);
  EXPECT_EQ(parts[0].message.round(), 5u);
  EXPECT_EQ(parts[1].message.round(), 0u);
  EXPECT_EQ(EndOf(parts.back()), kStateWindowBytes);
  EXPECT_THAT(donor.Request(1, RequestOf(1, "w-9", 0), kNow), IsEmpty());
  parts = donor.Request(1, RequestOf(1, "w-9", 0, 100), kNow);
  EXPECT_EQ(EndOf(parts.back()), kStateWindowBytes + 100);
  parts = donor.Request(1, RequestOf(1, "w-9", 0, kStateWindowBytes + 50), kNow);
  EXPECT_EQ(EndOf(parts.back()), size);
  EXPECT_THAT(donor.Request(1, RequestOf(1, "w-9", 0, size), kNow), IsEmpty());
}

TEST(StateDonorTest, WhoAsksAnewIsServedOnceAndOneLostIsForgotten) {
  StateDonor donor;
  donor.Request(0, RequestOf(1, "w-9", 0), kNow);
  donor.Request(0, RequestOf(2, "w-9", 0), kNow);
  donor.Request(1, RequestOf(3, "w-8", 0), kNow);
  donor.Forget(1);
  const std::vector<StateDonor::Part> parts = donor.Give(v1::StatePart(), StateOf(10), 1);
  ASSERT_THAT(parts, SizeIs(1));
  EXPECT_EQ(parts[0].message.id(), 2u);
}

TEST(StateDonorTest, TheRestOfAStateThatItHasNotBegunIsNotItsToGive) {
  StateDonor donor;
  const std::vector<StateDonor::Part> parts = donor.Request(1, RequestOf(5, "w-9", 0, 100), kNow);
  ASSERT_THAT(parts, SizeIs(1));
  EXPECT_EQ(parts[0].aggregator, 1u);
  EXPECT_EQ(parts[0].message.id(), 5u);
  EXPECT_FALSE(parts[0].message.has_slice());
  EXPECT_FALSE(donor.wanted(9));
}

TEST(StateDonorTest, DeclinesWhatIsWantedAndGoesOnWithWhatIsBegun) {
  StateDonor donor;
  donor.Request(0, RequestOf(1, "w-8", 0), kNow);
  donor.Give(v1::StatePart(), StateOf(2 * kStateWindowBytes), 1);
  donor.Request(0, RequestOf(2, "w-9", 0), kNow);
  const std::vector<StateDonor::Part> parts = donor.Decline();
  ASSERT_THAT(parts, SizeIs(1));
  EXPECT_EQ(parts[0].message.id(), 2u);
  EXPECT_FALSE(donor.wanted(9));
  EXPECT_FALSE(donor.Request(0, RequestOf(1, "w-8", 0, 100), kNow).empty());
}

TEST(StateDonorTest, ANewcomerThatFallsSilentIsForgotten) {
  StateDonor donor;
  donor.Request(0, RequestOf(1, "w-9", 0), kNow);
  donor.ForgetSilent(kNow);
  EXPECT_TRUE(donor.wanted(1));
  donor.ForgetSilent(kNow + absl::Seconds(1));
  EXPECT_FALSE(donor.wanted(1));
}

}  // namespace
}  // namespace tally
