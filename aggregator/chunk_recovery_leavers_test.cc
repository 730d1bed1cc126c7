// Who has left may alone hold what a recovery misses.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/chunk_recovery_fixture.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(ChunkRecoveryTest, WaitsForALeaverThatAloneHoldsWhatItContributed) {
  PlayLeave();
  recovery_->SetClaim(Member(0), ClaimUpTo(4));
  AnswerAll();
  EXPECT_THAT(recovery_->missing(), ElementsAre(Member(1)));
  EXPECT_EQ(recovery_->phase(), ChunkRecovery::Phase::kFolding);
  recovery_->SetClaim(Member(1), LeaversClaim());
  AnswerAll();
  ExpectRecovered(/*rebased=*/false);
}

TEST_F(ChunkRecoveryTest, WaitsForALeaverThatAloneMayHoldTheSnapshot) {
  PlayLeave();
  ChunkClaim claim = ClaimUpTo(4);
  claim.progress.clear_snapshots();
  recovery_->SetClaim(Member(0), claim);
  AnswerAll();
  EXPECT_THAT(recovery_->missing(), ElementsAre(Member(1)));
  EXPECT_EQ(recovery_->phase(), ChunkRecovery::Phase::kReading);
  recovery_->SetClaim(Member(1), LeaversClaim());
  AnswerAll();
  ExpectRecovered(/*rebased=*/false);
}

TEST_F(ChunkRecoveryTest, NobodyIsWaitedForWhereNobodyHasLeft) {
  ChunkClaim claim = ClaimUpTo(3);
  claim.progress.clear_snapshots();
  recovery_->SetClaim(Member(0), claim);
  recovery_->SetClaim(Member(1), claim);
  AnswerAll();
  ExpectRecovered(/*rebased=*/true);
}

// Its headers end before the results begin that lead on to the newest entry.
TEST_F(ChunkRecoveryTest, WhoIsFarBehindIsNotAskedWhoHasLeft) {
  PlayLeave();
  PlayRound(8, /*num_members=*/1);
  ChunkClaim claim = ClaimUpTo(5);
  claim.progress.clear_snapshots();
  claim.progress.mutable_headers()->set_first(3);
  claim.progress.mutable_results()->set_first(3);
  ChunkClaim old = ClaimUpTo(2);
  old.progress.clear_snapshots();
  old.head->set_epoch(0);
  recovery_->SetClaim({"v-7", 700}, old);
  recovery_->SetClaim(Member(0), claim);
  EXPECT_THAT(Names(recovery_->Proceed(true).asks),
              ElementsAre("w-0 KIND_RESULT 4..5", "w-0 KIND_HEADER 4..5"));
}

// What the leaver has contributed is with those who are here; a newer snapshot may be with it.
TEST_F(ChunkRecoveryTest, WaitsForALeaverThatMayHoldANewerSnapshot) {
  PlayLeave();
  ChunkClaim forgetful = ClaimUpTo(4);
  forgetful.progress.mutable_contributions()->set_first(3);
  recovery_->SetClaim(Member(0), forgetful);
  AnswerAll();
  EXPECT_THAT(recovery_->missing(), ElementsAre(Member(1)));
  recovery_->Evict(Member(1));
  AnswerAll();
  ExpectRecovered(/*rebased=*/true);
}

TEST_F(ChunkRecoveryTest, ALeaverThatIsDeadIsNotWaitedFor) {
  PlayLeave();
  recovery_->SetClaim(Member(0), ClaimUpTo(4));
  AnswerAll();
  recovery_->Evict(Member(1));
  AnswerAll();
  ExpectRecovered(/*rebased=*/true);
}

}  // namespace
}  // namespace tally
