#include "client/state_donor.h"

#include <memory>
#include <string>
#include <vector>

#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

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
  EXPECT_THAT(donor.Request(0, RequestOf(1, "w-9", 7)), IsEmpty());
  EXPECT_FALSE(donor.wanted(7));
  EXPECT_TRUE(donor.wanted(8));
  EXPECT_THAT(donor.Give(v1::StatePart(), StateOf(10), 7), IsEmpty());
  EXPECT_THAT(donor.Give(v1::StatePart(), StateOf(10), 8), SizeIs(1));
  EXPECT_FALSE(donor.wanted(8));
}

TEST(StateDonorTest, SendsAsMuchAsTheNewcomerTakesIn) {
  StateDonor donor;
  const size_t size = 2 * kStateWindowBytes + 10;
  donor.Request(1, RequestOf(1, "w-9", 0));
  v1::StatePart head;
  head.set_round(5);
  std::vector<StateDonor::Part> parts = donor.Give(head, StateOf(size), 6);
  ASSERT_FALSE(parts.empty());
  EXPECT_EQ(parts[0].aggregator, 1u);
  EXPECT_EQ(parts[0].message.round(), 5u);
  EXPECT_EQ(parts[1].message.round(), 0u);
  EXPECT_EQ(EndOf(parts.back()), kStateWindowBytes);
  EXPECT_THAT(donor.Request(1, RequestOf(1, "w-9", 0)), IsEmpty());
  parts = donor.Request(1, RequestOf(1, "w-9", 0, 100));
  EXPECT_EQ(EndOf(parts.back()), kStateWindowBytes + 100);
  parts = donor.Request(1, RequestOf(1, "w-9", 0, kStateWindowBytes + 50));
  EXPECT_EQ(EndOf(parts.back()), size);
  EXPECT_THAT(donor.Request(1, RequestOf(1, "w-9", 0, size)), IsEmpty());
}

TEST(StateDonorTest, WhoAsksAnewIsServedOnceAndOneLostIsForgotten) {
  StateDonor donor;
  donor.Request(0, RequestOf(1, "w-9", 0));
  donor.Request(0, RequestOf(2, "w-9", 0));
  donor.Request(1, RequestOf(3, "w-8", 0));
  donor.Forget(1);
  const std::vector<StateDonor::Part> parts = donor.Give(v1::StatePart(), StateOf(10), 1);
  ASSERT_THAT(parts, SizeIs(1));
  EXPECT_EQ(parts[0].message.id(), 2u);
}

}  // namespace
}  // namespace tally
