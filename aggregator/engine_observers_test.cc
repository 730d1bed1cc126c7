// Workers that come when the run has begun: they watch, get the state, are taken in, or are not.
#include <string>
#include <vector>

#include "aggregator/engine.h"
#include "codecs/roster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/engine_driver.h"
#include "tests/util/engine_fixture.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;

v1::ResultHeader HeaderOf(const StoredResult& result) {
  v1::ResultHeader header;
  EXPECT_TRUE(header.ParseFromString(result.message.header()));
  return header;
}

class EngineObserversTest : public EngineTest {
 protected:
  // A run of two workers that may grow to four, with one chunk.
  void SetUp() override {
    for (int i = 0; i < 2; ++i) members_.push_back(&Join(Elastic(i)));
  }
  HelloBuilder Elastic(int index) const {
    return Hello(index, 2).RosterLimit(4).WithLayout(LayoutOf(200, 256));
  }
  EngineWorker& Observe(int index, uint64_t incarnation = 0) {
    HelloBuilder hello = Elastic(index).Intent(v1::INTENT_OBSERVER);
    if (incarnation != 0) hello.Worker("w-" + std::to_string(index), incarnation);
    return Join(hello);
  }
  void PlayRound() {
    for (EngineWorker* const member : members_) member->Contribute(0, 1.0f);
  }
  // Asks for the state with one id after the other until this member is asked for it.
  void AskUntilDrawn(EngineWorker& newcomer, EngineWorker& donor) {
    for (uint64_t id = 1; donor.inbox().state_requests.empty(); ++id) {
      driver_->RequestState(newcomer.stream(), id);
    }
  }
  v1::ResultHeader Newest() { return HeaderOf(*members_[0]->Newest(0)); }

  std::vector<EngineWorker*> members_;
};

TEST_F(EngineObserversTest, WhoComesLaterWatchesAndIsToldWhereTheRunStands) {
  PlayRound();
  for (const v1::Intent intent : {v1::INTENT_START, v1::INTENT_OBSERVER}) {
    EngineWorker& late = Join(Elastic(7 + intent).Intent(intent));
    ASSERT_TRUE(late.inbox().welcome.has_value());
    EXPECT_EQ(late.inbox().welcome->verdict(), v1::Welcome::VERDICT_OBSERVER);
    ASSERT_EQ(late.inbox().welcome->chunks_size(), 1);
    EXPECT_EQ(late.inbox().welcome->chunks(0).head().round(), 0u);
    EXPECT_THAT(late.inbox().results, IsEmpty());
  }
  PlayRound();
  EXPECT_THAT(workers_.back()->inbox().results, SizeIs(1));
  EXPECT_EQ(Status().members_size(), 2);
  EXPECT_EQ(Status().observers_size(), 2);
}

TEST_F(EngineObserversTest, AnObserverOfARunThatIsNotHereWaits) {
  EXPECT_THAT(Join(Elastic(7).Job("other", 1).Intent(v1::INTENT_OBSERVER)).closed(),
              Optional(StatusIs(absl::StatusCode::kUnavailable, HasSubstr("is not here"))));
}

TEST_F(EngineObserversTest, AHeaderTakesAnObserverInAndItIsWaitedForFromThenOn) {
  EngineWorker& late = Observe(7);
  driver_->Activate(late.stream(), 2);
  PlayRound();
  EXPECT_EQ(Newest().activated_size(), 0);
  PlayRound();
  ASSERT_EQ(Newest().activated_size(), 1);
  EXPECT_EQ(Newest().activated(0).worker(), "w-7");
  EXPECT_EQ(Newest().roster_size(), 3);
  PlayRound();
  EXPECT_EQ(Newest().round(), 1u);
  EXPECT_THAT(Status().chunks(0).waiting_for(), ElementsAre("w-7"));
  late.Contribute(0, 1.0f);
  EXPECT_EQ(Newest().round(), 2u);
  EXPECT_EQ(Status().members_size(), 3);
}

TEST_F(EngineObserversTest, ANewcomerThatNeverContributesIsAnObserverAgain) {
  EngineWorker& late = Observe(7);
  driver_->Activate(late.stream(), 1);
  PlayRound();
  PlayRound();
  driver_->AdvanceBy(absl::Seconds(2));
  ASSERT_EQ(Newest().returned_size(), 1);
  EXPECT_EQ(Newest().returned(0).worker(), "w-7");
  EXPECT_EQ(Status().members_size(), 2);
  EXPECT_EQ(Status().observers_size(), 1);
  // It may try again.
  driver_->Activate(late.stream(), 3);
  PlayRound();
  EXPECT_EQ(Newest().activated_size(), 1);
}

TEST_F(EngineObserversTest, NobodyComesIntoAFullRoster) {
  EngineWorker& third = Observe(6);
  EngineWorker& fourth = Observe(7);
  EngineWorker& fifth = Observe(8);
  for (EngineWorker* const late : {&third, &fourth, &fifth}) {
    driver_->Activate(late->stream(), 1);
  }
  PlayRound();
  EXPECT_EQ(Newest().roster_size(), 4);
  EXPECT_THAT(fifth, IsOpen());
  // One goes: there is room.
  driver_->Leave(fourth.stream(), 0);
  for (EngineWorker* const worker : {members_[0], members_[1], &third}) worker->Contribute(0, 1);
  EXPECT_EQ(Newest().left_size(), 1);
  EXPECT_EQ(Newest().activated_size(), 1);
  EXPECT_EQ(Newest().roster_size(), 4);
}

TEST_F(EngineObserversTest, ANewerProcessOfAMemberTakesItsPlace) {
  EngineWorker& newer = Observe(1, 200);
  EXPECT_THAT(members_[1]->closed(), Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                                       HasSubstr("a newer process"))));
  members_.pop_back();
  driver_->Activate(newer.stream(), 1);
  PlayRound();
  const v1::ResultHeader header = Newest();
  ASSERT_EQ(header.evicted_size(), 1);
  EXPECT_EQ(header.evicted(0).incarnation(), 101u);
  ASSERT_EQ(header.activated_size(), 1);
  EXPECT_EQ(header.activated(0).incarnation(), 200u);
  newer.Contribute(0, 1.0f);
  PlayRound();
  EXPECT_EQ(Newest().round(), 1u);
}

TEST_F(EngineObserversTest, AnEarlierIncarnationIsToldTheHighestDeadOne) {
  Observe(1, 200);
  EngineWorker& elder = Observe(1, 150);
  ASSERT_TRUE(elder.inbox().welcome.has_value());
  EXPECT_EQ(elder.inbox().welcome->verdict(), v1::Welcome::VERDICT_FENCED);
  EXPECT_EQ(elder.inbox().welcome->fence().incarnation(), 200u);
  EXPECT_THAT(elder.closed(), Optional(StatusIs(absl::StatusCode::kAborted)));
}

TEST_F(EngineObserversTest, TheStateGoesFromAMemberToTheNewcomer) {
  EngineWorker& late = Observe(7);
  driver_->RequestState(late.stream(), 5);
  EngineWorker* donor = nullptr;
  for (EngineWorker* const member : members_) {
    if (!member->inbox().state_requests.empty()) donor = member;
  }
  ASSERT_NE(donor, nullptr);
  EXPECT_EQ(donor->inbox().state_requests[0].newcomer().worker(), "w-7");
  v1::StatePart part;
  part.set_id(5);
  part.mutable_slice()->set_total_bytes(3);
  driver_->GiveState(donor->stream(), part, "abc");
  ASSERT_THAT(late.inbox().state_parts, SizeIs(1));
  EXPECT_EQ(late.inbox().state_parts[0].second, "abc");
  driver_->Disconnect(donor->stream());
  ASSERT_THAT(late.inbox().state_parts, SizeIs(2));
  EXPECT_FALSE(late.inbox().state_parts[1].first.has_slice());
}

TEST_F(EngineObserversTest, ANewcomerIsToldWhenItsDonorLeaves) {
  EngineWorker& late = Observe(7);
  AskUntilDrawn(late, *members_[1]);
  driver_->Leave(members_[1]->stream(), 0);
  driver_->AdvanceBy(absl::Milliseconds(100));
  ASSERT_THAT(late.inbox().state_parts, SizeIs(1));
  EXPECT_FALSE(late.inbox().state_parts[0].first.has_slice());
}

TEST_F(EngineObserversTest, ANewcomerIsToldWhenItsDonorIsReplaced) {
  EngineWorker& late = Observe(7);
  AskUntilDrawn(late, *members_[1]);
  Observe(1, 200);
  driver_->AdvanceBy(absl::Milliseconds(100));
  ASSERT_THAT(late.inbox().state_parts, SizeIs(1));
  EXPECT_FALSE(late.inbox().state_parts[0].first.has_slice());
}

TEST_F(EngineObserversTest, ADeadObserverIsNotTakenIn) {
  EngineWorker& late = Observe(7);
  driver_->Activate(late.stream(), 1);
  v1::Heartbeat heartbeat;
  heartbeat.add_fences()->set_worker("w-7");
  heartbeat.mutable_fences(0)->set_incarnation(107);
  driver_->Heartbeat(members_[0]->stream(), heartbeat);
  EXPECT_THAT(late.closed(), Optional(StatusIs(absl::StatusCode::kAborted)));
  PlayRound();
  PlayRound();
  EXPECT_EQ(Newest().roster_size(), 0) << "the roster has not changed";
}

TEST_F(EngineObserversTest, ObserversAreLetGoWithTheLastMember) {
  EngineWorker& late = Observe(7);
  PlayRound();
  for (EngineWorker* const member : members_) driver_->Leave(member->stream(), 0);
  EXPECT_THAT(late.closed(),
              Optional(StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("is over"))));
  EXPECT_THAT(Observe(8).closed(),
              Optional(StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("is over"))));
}

TEST_F(EngineObserversTest, AnObserverThatLeavesIsLetGoAtOnce) {
  EngineWorker& late = Observe(7);
  driver_->Activate(late.stream(), 1);
  driver_->Leave(late.stream(), 0);
  EXPECT_THAT(late.closed(), Optional(IsOk()));
  PlayRound();
  EXPECT_EQ(Newest().activated_size(), 0);
}

// The aggregator was restarted, and who wants to begin the run is here before anybody who has it.
TEST_F(EngineObserversTest, WhoHasSeenOfTheRunWaitsWhileOnlyStartersAreHere) {
  Join(Elastic(5).Job("other", 1));
  EXPECT_THAT(
      Join(Elastic(7).Job("other", 1).Intent(v1::INTENT_OBSERVER).Head(12, 0, 1212)).closed(),
      Optional(StatusIs(absl::StatusCode::kUnavailable, HasSubstr("is not here"))));
}

TEST_F(EngineObserversTest, AnObserverThatWasAwayForTooLongMustComeAnew) {
  EngineWorker& late = Observe(7);
  PlayRound();
  for (int i = 0; i < 3; ++i) {
    const bool reconnects = i == 2;
    if (i == 0) driver_->Disconnect(late.stream());
    PlayRound();
    if (!reconnects) continue;
    const StoredResult& known = *late.inbox().results[0];
    EngineWorker& lost = Join(Elastic(7).Intent(v1::INTENT_OBSERVER).Head(0, 0, known.chain));
    EXPECT_THAT(lost.closed(),
                Optional(StatusIs(absl::StatusCode::kAborted, HasSubstr("must come anew"))));
    EXPECT_EQ(lost.inbox().welcome->verdict(), v1::Welcome::VERDICT_FENCED)
        << "so it settles what it has sent";
  }
}

}  // namespace
}  // namespace tally
