#include "client/inheritances.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/buffer.h"
#include "client/inheritance.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

const MemberId kSelf = {"w-1", 11};

class InheritancesTest : public testing::Test {
 protected:
  InheritancesTest() { inheritances_.Take(); }

  void Promise(uint32_t chunk, const std::string& leaver, const std::string& heir, uint64_t chain) {
    v1::ResultHeader header;
    header.set_chunk(chunk);
    v1::Departure& left = *header.add_left();
    left.mutable_member()->set_worker(leaver);
    left.mutable_member()->set_incarnation(22);
    left.set_heir(heir);
    inheritances_.Read(header, chain, kSelf, now_);
  }
  bool Receive(uint32_t chunk, const std::string& leaver, uint64_t incarnation, uint64_t chain) {
    v1::Handover message;
    message.set_chunk(chunk);
    message.mutable_leaver()->set_worker(leaver);
    message.mutable_leaver()->set_incarnation(incarnation);
    message.set_after_chain(chain);
    return inheritances_.Receive(message, std::make_shared<const Buffer>(4));
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  Inheritances inheritances_;
};

TEST_F(InheritancesTest, TakesWhatWasPromisedOnce) {
  Promise(3, "w-2", "w-1", 77);
  EXPECT_TRUE(Receive(3, "w-2", 22, 77));
  EXPECT_TRUE(Receive(3, "w-2", 22, 77)) << "the leaver is told again";
  const std::vector<Inheritance> taken = inheritances_.Take();
  ASSERT_THAT(taken, SizeIs(1));
  EXPECT_EQ(taken[0].leaver, "w-2");
  EXPECT_EQ(taken[0].chunk, 3u);
  EXPECT_TRUE(Receive(3, "w-2", 22, 77));
  EXPECT_THAT(inheritances_.Take(), IsEmpty()) << "it has been added";
}

TEST_F(InheritancesTest, TakesNothingElse) {
  Promise(3, "w-2", "w-9", 77);
  EXPECT_FALSE(Receive(3, "w-2", 22, 77)) << "it is another's";
  Promise(4, "w-2", "w-1", 77);
  EXPECT_FALSE(Receive(3, "w-2", 22, 77)) << "another chunk";
  EXPECT_FALSE(Receive(4, "w-3", 22, 77)) << "another leaver";
  EXPECT_FALSE(Receive(4, "w-2", 23, 77)) << "another incarnation";
  EXPECT_FALSE(Receive(4, "w-2", 22, 78)) << "another history";
  EXPECT_THAT(inheritances_.Take(), IsEmpty());
}

TEST_F(InheritancesTest, WhatWasPromisedLatelyIsAwaitedUntilItIsHere) {
  EXPECT_FALSE(inheritances_.AwaitsAnySince(now_));
  Promise(3, "w-2", "w-1", 77);
  Promise(4, "w-2", "w-1", 78);
  EXPECT_TRUE(Receive(3, "w-2", 22, 77));
  EXPECT_TRUE(inheritances_.AwaitsAnySince(now_));
  EXPECT_FALSE(inheritances_.AwaitsAnySince(now_ + absl::Seconds(1))) << "it does not come";
  EXPECT_TRUE(Receive(4, "w-2", 22, 78));
  EXPECT_FALSE(inheritances_.AwaitsAnySince(now_));
}

TEST_F(InheritancesTest, OldPromisesAreForgotten) {
  Promise(0, "old", "w-1", 1);
  for (int i = 0; i < 1024; ++i) Promise(0, "w-2", "w-1", 2);
  EXPECT_FALSE(Receive(0, "old", 22, 1));
}

TEST(InheritancesOfNobodyTest, WhoNeverAsksTakesNothing) {
  Inheritances inheritances;
  v1::ResultHeader header;
  v1::Departure& left = *header.add_left();
  left.mutable_member()->set_worker("w-2");
  left.set_heir("w-1");
  inheritances.Read(header, 7, kSelf, absl::UnixEpoch());
  v1::Handover message;
  *message.mutable_leaver() = left.member();
  message.set_after_chain(7);
  EXPECT_FALSE(inheritances.Receive(message, std::make_shared<const Buffer>(4)));
  inheritances.Take();
  EXPECT_TRUE(inheritances.Receive(message, std::make_shared<const Buffer>(4)));
}

}  // namespace
}  // namespace tally
