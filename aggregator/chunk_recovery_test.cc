#include "aggregator/chunk_recovery.h"

#include <limits>
#include <memory>
#include <utility>

#include "aggregator/chunk_round.h"
#include "aggregator/exchange_task.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/chunk_recovery_fixture.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::SizeIs;

TEST_F(ChunkRecoveryTest, WaitsForEverybodyInTheNewestHeadsRoster) {
  recovery_->SetClaim(Member(0), ClaimUpTo(3));
  EXPECT_THAT(recovery_->Proceed(true).asks, IsEmpty());
  EXPECT_THAT(recovery_->missing(), ElementsAre(Member(1)));
  recovery_->SetClaim({"w-1", 1}, ChunkClaim());
  EXPECT_THAT(recovery_->missing(), ElementsAre(Member(1))) << "another incarnation is not it";
  recovery_->SetClaim(Member(1), ClaimUpTo(2));
  EXPECT_THAT(recovery_->missing(), IsEmpty());
  EXPECT_THAT(Names(recovery_->Proceed(true).asks),
              ElementsAre("w-0 KIND_RESULT 2..3", "w-0 KIND_HEADER 0..3"));
}

TEST_F(ChunkRecoveryTest, WhoHasTheStateOfTheNewestEntryAloneHoldsNothingOfIt) {
  ChunkClaim newcomer = ClaimUpTo(3);
  newcomer.progress.clear_results();
  recovery_->SetClaim({"w-7", 700}, newcomer);
  EXPECT_FALSE(recovery_->has_history());
  recovery_->SetClaim(Member(0), ClaimUpTo(3));
  recovery_->SetClaim(Member(1), ClaimUpTo(3));
  AnswerAll();
  EXPECT_EQ(recovery_->phase(), ChunkRecovery::Phase::kDone);
}

TEST_F(ChunkRecoveryTest, HeadersThatNobodyHoldsAllOfAreJoined) {
  // Who was there at the snapshot lacks the newest entry; who has that came later.
  ChunkClaim late = ClaimUpTo(3);
  late.progress.clear_snapshots();
  late.progress.mutable_headers()->set_first(late.head->round());
  late.progress.mutable_results()->set_first(late.head->round());
  ChunkClaim early = ClaimUpTo(2);
  early.progress.mutable_open()->set_round(late.head->round());
  recovery_->SetClaim(Member(0), early);
  recovery_->SetClaim(Member(1), late);
  AnswerAll();
  ExpectRecovered(/*rebased=*/false);
}

TEST_F(ChunkRecoveryTest, GoesOnExactlyWhereTheLostOneStood) {
  recovery_->SetClaim(Member(0), ClaimUpTo(3));
  recovery_->SetClaim(Member(1), ClaimUpTo(3));
  AnswerAll();
  ASSERT_EQ(recovery_->phase(), ChunkRecovery::Phase::kDone);
  ChunkRound restored(2, kChunk, description_);
  restored.Restore(recovery_->TakeRecovered(), {});
  EXPECT_EQ(restored.place(), lost_->place());
  EXPECT_EQ(restored.history().chain(), lost_->history().chain());
  EXPECT_EQ(restored.LastCounted(Member(1)), lost_->LastCounted(Member(1)));
  EXPECT_TRUE(restored.LastCounted(Member(1)).has_value());
  // The next result shows the residual.
  PlayRound(8);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_THAT(restored.Stage(Member(i), contributions_.back()[i], {}), IsOk());
  }
  absl::StatusOr<ChunkRound::Sealing> sealing = restored.Seal({});
  const auto outcome = RunExchange(*sealing->task, *HostBackends().front());
  EXPECT_EQ(restored.Publish(*outcome, {}).result->chain, results_.back()->chain);
}

// It was returned to observer, and did not know.
TEST_F(ChunkRecoveryTest, FetchesTheResultsThatSomebodyOutsideTheRosterLacks) {
  ChunkClaim late = ClaimUpTo(1);
  recovery_->SetClaim(Member(0), ClaimUpTo(3));
  recovery_->SetClaim(Member(1), ClaimUpTo(3));
  recovery_->SetClaim({"w-9", 900}, late);
  AnswerAll();
  ASSERT_EQ(recovery_->phase(), ChunkRecovery::Phase::kDone);
  EXPECT_THAT(recovery_->TakeRecovered().results, SizeIs(3));
}

// Who is too far behind cannot follow, and is told so later: nobody waits for results that are
// gone.
TEST_F(ChunkRecoveryTest, BeginsWithTheOldestResultThatTheHolderHas) {
  ChunkClaim holder = ClaimUpTo(3);
  holder.progress.mutable_results()->set_first(1);
  recovery_->SetClaim(Member(0), holder);
  recovery_->SetClaim(Member(1), ClaimUpTo(0));
  const std::vector<ChunkRecovery::Ask> asks = recovery_->Proceed(true).asks;
  ASSERT_FALSE(asks.empty());
  EXPECT_EQ(Names(asks)[0], "w-0 KIND_RESULT 2..3");
  for (const ChunkRecovery::Ask& ask : asks) Answer(ask, absl::nullopt);
  AnswerAll();
  ASSERT_EQ(recovery_->phase(), ChunkRecovery::Phase::kDone);
  EXPECT_THAT(recovery_->TakeRecovered().results, SizeIs(2));
}

// Somebody comes while it is under way: it is asked for anew, and the end of the old answer comes
// first.
TEST_F(ChunkRecoveryTest, TheEndOfAnOldAnswerIsNotTakenForANewOne) {
  PlayLeave();
  ChunkClaim claim = ClaimUpTo(4);
  claim.progress.clear_snapshots();
  recovery_->SetClaim(Member(0), claim);
  recovery_->Proceed(true);
  recovery_->SetClaim({"v-7", 700}, ChunkClaim());
  const std::vector<ChunkRecovery::Ask> asks = recovery_->Proceed(true).asks;
  EXPECT_THAT(recovery_->Take(Member(0), ReplayedHeader{ResultAt(4).header, results_[4]->chain}),
              IsOk());
  EXPECT_THAT(recovery_->Take({"v-7", 700}, ResultAt(4)), IsOk()) << "it was not asked";
  for (const ChunkRecovery::Ask& ask : asks) Answer(ask, absl::nullopt);
  recovery_->Proceed(true);
  EXPECT_THAT(recovery_->missing(), ElementsAre(Member(1)));
  EXPECT_THAT(recovery_->missing_members(), IsEmpty());
  EXPECT_EQ(recovery_->phase(), ChunkRecovery::Phase::kReading);
}

TEST_F(ChunkRecoveryTest, TheHeadsSnapshotIsTakenAnewIfNobodyHasIt) {
  PlayRound(8, /*num_members=*/2, /*saves=*/true);
  recovery_->SetClaim(Member(0), ClaimUpTo(4));
  recovery_->SetClaim(Member(1), ClaimUpTo(4));
  AnswerAll();
  ASSERT_EQ(recovery_->phase(), ChunkRecovery::Phase::kDone);
  ChunkRound restored(2, kChunk, description_);
  const auto order = restored.Restore(recovery_->TakeRecovered(), {});
  ASSERT_TRUE(order.has_value()) << "the header has announced it";
  EXPECT_EQ(order->snapshot->chain, results_.back()->chain);
}

// A crash undid the entry that it follows.
TEST_F(ChunkRecoveryTest, TakesNoSnapshotOfAnotherHistory) {
  ChunkClaim claim = ClaimUpTo(0);
  claim.progress.mutable_snapshots(0)->set_chain(999);
  recovery_->SetClaim(Member(0), claim);
  recovery_->SetClaim(Member(1), claim);
  AnswerAll();
  ExpectRecovered(/*rebased=*/true);
}

// Of a run that is resumed: nobody but worker 1, which has not read the genesis, has the residual
// that it begins with.
TEST_F(ChunkRecoveryTest, TakesASavedResidualFromWhoLacksTheGenesis) {
  ChunkClaim begun = ClaimUpTo(0);
  begun.progress.clear_snapshots();
  ChunkClaim resuming;
  v1::ChunkProgress::Saved& saved = *resuming.progress.mutable_saved();
  saved.mutable_head()->set_round(41);
  saved.mutable_head()->set_chain(4141);
  saved.set_residual_norm(3);
  saved.set_holds_residual(true);
  recovery_->SetClaim(Member(0), begun);
  recovery_->SetClaim(Member(1), resuming);
  const std::vector<ChunkRecovery::Ask> asks = recovery_->Proceed(true).asks;
  EXPECT_THAT(Names(asks), ElementsAre("w-0 KIND_RESULT 0..0", "w-0 KIND_HEADER 0..0",
                                       "w-1 KIND_SNAPSHOT 42..42"));
  Answer(asks[0], absl::nullopt);
  Answer(asks[1], absl::nullopt);
  ResidualSnapshot snapshot{
      .chunk = kChunk, .place = {41, 0}, .chain = 4242, .payload = Values(0.5f)};
  EXPECT_THAT(recovery_->Take(Member(1), snapshot), IsOk());
  recovery_->Proceed(true);
  EXPECT_NE(recovery_->phase(), ChunkRecovery::Phase::kDone) << "that was another run's";
  snapshot.chain = 4141;
  const SharedBuffer good = snapshot.payload;
  snapshot.payload = Values(std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(recovery_->Take(Member(1), snapshot),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("element 0 = nan")));
  snapshot.payload = good;
  EXPECT_THAT(recovery_->Take(Member(1), snapshot), IsOk());
  recovery_->Proceed(true);
  ASSERT_EQ(recovery_->phase(), ChunkRecovery::Phase::kDone);
  const ChunkRecovery::Recovered recovered = recovery_->TakeRecovered();
  EXPECT_FALSE(recovered.rebased);
  EXPECT_NE(recovered.residual, nullptr);
}

// Two histories number their rosters alike.
TEST_F(ChunkRecoveryTest, ARosterOfAnotherHistoryIsNotTakenForThisOnes) {
  ChunkClaim lost = ClaimUpTo(1);
  lost.rosters[0] = *Roster::Create(0, {{"x", 1}, {"y", 2}});
  recovery_->SetClaim({"a", 7}, lost);
  recovery_->SetClaim(Member(0), ClaimUpTo(3));
  recovery_->SetClaim(Member(1), ClaimUpTo(3));
  AnswerAll();
  ASSERT_EQ(recovery_->phase(), ChunkRecovery::Phase::kDone);
  const ChunkRecovery::Recovered recovered = recovery_->TakeRecovered();
  EXPECT_FALSE(recovered.rebased);
  EXPECT_THAT(recovered.last_counted, ElementsAre(Key("w-0"), Key("w-1")));
}

TEST_F(ChunkRecoveryTest, StartsAgainWhenAMemberGoesAway) {
  recovery_->SetClaim(Member(0), ClaimUpTo(3));
  recovery_->SetClaim(Member(1), ClaimUpTo(3));
  EXPECT_THAT(recovery_->Proceed(true).asks, SizeIs(2));
  recovery_->Withdraw(Member(0));
  EXPECT_EQ(recovery_->phase(), ChunkRecovery::Phase::kGathering);
  EXPECT_THAT(recovery_->Take(Member(0), ResultAt(3)), IsOk()) << "late, and harmless";
  recovery_->SetClaim(Member(0), ClaimUpTo(3));
  AnswerAll();
  EXPECT_EQ(recovery_->phase(), ChunkRecovery::Phase::kDone);
  EXPECT_FALSE(recovery_->TakeRecovered().rebased);
}

TEST_F(ChunkRecoveryTest, DropsTheOutcomeOfATaskFromBeforeARestart) {
  recovery_->SetClaim(Member(0), ClaimUpTo(3));
  recovery_->SetClaim(Member(1), ClaimUpTo(3));
  absl::optional<ExchangeTask> task;
  while (!task.has_value()) {
    ChunkRecovery::Work work = recovery_->Proceed(true);
    for (const ChunkRecovery::Ask& ask : work.asks) Answer(ask, absl::nullopt);
    task = std::move(work.task);
  }
  recovery_->Withdraw(Member(1));
  EXPECT_TRUE(recovery_->awaits_outcome());
  recovery_->TakeOutcome(*RunExchange(*task, *HostBackends().front()));
  EXPECT_FALSE(recovery_->awaits_outcome());
}

TEST_F(ChunkRecoveryTest, RebasesAResidualWhoseContributionsAreGone) {
  ChunkClaim forgetful = ClaimUpTo(3);
  forgetful.progress.mutable_contributions()->set_first(1);
  recovery_->SetClaim(Member(0), ClaimUpTo(3));
  recovery_->SetClaim(Member(1), forgetful);
  AnswerAll();
  ASSERT_EQ(recovery_->phase(), ChunkRecovery::Phase::kDone);
  const ChunkRecovery::Recovered recovered = recovery_->TakeRecovered();
  EXPECT_TRUE(recovered.rebased);
  EXPECT_EQ(recovered.residual, nullptr);
  EXPECT_TRUE(recovered.floor.is_zero);
}

TEST_F(ChunkRecoveryTest, RebasesAResidualThatFoldsToOtherResults) {
  recovery_->SetClaim(Member(0), ClaimUpTo(3));
  recovery_->SetClaim(Member(1), ClaimUpTo(3));
  std::swap(contributions_[1][0].payload, contributions_[1][1].payload);
  contributions_[1][0].payload = contributions_[0][0].payload;
  AnswerAll();
  ExpectRecovered(/*rebased=*/true);
}

TEST_F(ChunkRecoveryTest, WaitsForAContributionThatDoesNotCome) {
  recovery_->SetClaim(Member(0), ClaimUpTo(3));
  recovery_->SetClaim(Member(1), ClaimUpTo(3));
  AnswerAll(/*withheld=*/1);
  EXPECT_EQ(recovery_->phase(), ChunkRecovery::Phase::kFolding);
}

TEST_F(ChunkRecoveryTest, RefusesAResultThatIsNotTheClaimedOne) {
  ChunkClaim claim = ClaimUpTo(3);
  claim.head->set_chain(99);
  recovery_->SetClaim(Member(0), claim);
  recovery_->SetClaim(Member(1), claim);
  recovery_->Proceed(true);
  EXPECT_THAT(recovery_->Take(Member(0), ResultAt(3)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("chunk 1, round 2: `replay.result` has chain")));
}

TEST_F(ChunkRecoveryTest, RefusesResultsThatDoNotFollowEachOther) {
  recovery_->SetClaim(Member(0), ClaimUpTo(3));
  recovery_->SetClaim(Member(1), ClaimUpTo(1));
  recovery_->Proceed(true);
  EXPECT_THAT(recovery_->Take(Member(0), ResultAt(1)), IsOk());
  EXPECT_THAT(recovery_->Take(Member(0), ResultAt(3)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("`replay.result` must follow the one before")));
}

}  // namespace
}  // namespace tally
