#include "aggregator/chunk_recovery.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "aggregator/chunk_round.h"
#include "base/digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint32_t kChunk = 1;
constexpr size_t kNumElements = 512;

MemberId Member(size_t index) { return {absl::StrCat("w-", index), 100 + index}; }

// A chunk that two workers have exchanged as signs for three rounds; its aggregator is then lost.
class ChunkRecoveryTest : public testing::Test {
 protected:
  ChunkRecoveryTest() {
    description_ = std::make_shared<const JobDescription>(
        ValidateHello(HelloBuilder().ExpectedWorkers(2).Build(), "agg-0")->description);
    lost_ = std::make_unique<ChunkRound>(1, kChunk, description_);
    results_.push_back(lost_->Form(*Roster::Create(0, {Member(0), Member(1)}), {}, {}));
    for (const float value : {1.0f, 2.0f, 4.0f}) PlayRound(value);
    recovery_ = std::make_unique<ChunkRecovery>(2, kChunk, description_);
  }

  void PlayRound(float value, size_t num_members = 2, bool saves = false) {
    std::vector<StagedContribution> sent;
    for (size_t i = 0; i < num_members; ++i) {
      const float scale = value + static_cast<float>(i);
      const std::string bytes = SignPayload({scale, value}, kNumElements, {i, 7 + i});
      Buffer payload(bytes.size());
      std::copy(bytes.begin(), bytes.end(), payload.bytes().begin());
      StagedContribution contribution = {
          .chunk = kChunk,
          .place = lost_->place(),
          .prev_chain = lost_->history().chain(),
          .exchange = SignBlocks256(),
          .payload = std::make_shared<const Buffer>(std::move(payload)),
          .payload_digest = Digest64(bytes)};
      contribution.save = saves;
      sent.push_back(contribution);
      EXPECT_THAT(lost_->Stage(Member(i), std::move(contribution), {}), IsOk());
    }
    contributions_.push_back(std::move(sent));
    absl::StatusOr<ChunkRound::Sealing> sealing = lost_->Seal({});
    const absl::StatusOr<ExchangeOutcome> outcome =
        RunExchange(*sealing->task, *HostBackends().front());
    results_.push_back(lost_->Publish(*outcome, {}).result);
  }

  v1::Entry EntryAt(size_t index) const {
    v1::Entry entry;
    entry.set_round(results_[index]->place.round);
    entry.set_chain(results_[index]->chain);
    entry.set_epoch(lost_->history().roster().epoch());
    return entry;
  }

  // What a worker holds that has applied the results up to that index.
  ChunkClaim ClaimUpTo(size_t index) const {
    ChunkClaim claim;
    claim.head = EntryAt(index);
    v1::ChunkProgress& progress = claim.progress;
    progress.mutable_headers()->set_first(results_[0]->place.round);
    progress.mutable_headers()->set_last(claim.head->round());
    *progress.mutable_results() = progress.headers();
    if (index > 0) {
      progress.mutable_contributions()->set_first(0);
      progress.mutable_contributions()->set_last(claim.head->round());
    }
    v1::SnapshotKey& zero = *progress.add_snapshots();
    zero.set_round(results_[0]->place.round);
    zero.set_chain(results_[0]->chain);
    zero.set_is_zero(true);
    claim.rosters[0] = *Roster::Create(0, {Member(0), Member(1)});
    claim.rosters[claim.head->epoch()] = lost_->history().roster();
    return claim;
  }

  static std::vector<std::string> Names(const std::vector<ChunkRecovery::Ask>& asks) {
    std::vector<std::string> names;
    for (const ChunkRecovery::Ask& ask : asks) {
      names.push_back(absl::StrCat(ask.member.worker, " ", v1::Need::Kind_Name(ask.need.kind()),
                                   " ", ask.need.rounds().first() + 1, "..",
                                   ask.need.rounds().last() + 1));
    }
    return names;
  }

  CheckedResult ResultAt(size_t index) const {
    absl::StatusOr<CheckedResult> result =
        CheckResult(results_[index]->message, results_[index]->payload, description_->layout,
                    *HostBackends().front());
    EXPECT_THAT(result, IsOk());
    return *std::move(result);
  }

  // Answers what is asked until nothing more is, as workers that hold everything would; without the
  // contribution of worker 1 to `withheld`.
  void AnswerAll(absl::optional<uint64_t> withheld = absl::nullopt) {
    for (ChunkRecovery::Work work = recovery_->Proceed(true);
         !work.asks.empty() || work.task.has_value(); work = recovery_->Proceed(true)) {
      for (const ChunkRecovery::Ask& ask : work.asks) Answer(ask, withheld);
      if (work.task.has_value()) {
        recovery_->TakeOutcome(*RunExchange(*work.task, *FastestHostBackend()));
      }
    }
  }

  void Answer(const ChunkRecovery::Ask& ask, absl::optional<uint64_t> withheld) {
    const size_t first = ask.need.rounds().first() + 1;
    const size_t last = ask.need.rounds().last() + 1;
    for (size_t i = first; i <= last; ++i) {
      Replayed piece;
      if (ask.need.kind() == v1::Need::KIND_RESULT) {
        piece = ResultAt(i);
      } else if (ask.need.kind() == v1::Need::KIND_HEADER) {
        piece = ReplayedHeader{ResultAt(i).header, results_[i]->chain};
      } else {
        const size_t worker = ask.member == Member(0) ? 0 : 1;
        if (worker == 1 && withheld == i - 1) continue;
        piece = ReplayedContribution{results_[i]->chain, contributions_[i - 1][worker]};
      }
      EXPECT_THAT(recovery_->Take(ask.member, std::move(piece)), IsOk());
    }
  }

  // Worker 1 leaves, and worker 0 goes on for a round.
  void PlayLeave() {
    lost_->Leave(Member(1), /*gone_from=*/3);
    PlayRound(8, /*num_members=*/1);
  }
  ChunkClaim LeaversClaim() const {
    ChunkClaim leaver = ClaimUpTo(3);
    leaver.head->set_epoch(0);
    return leaver;
  }
  void ExpectRecovered(bool rebased) {
    ASSERT_EQ(recovery_->phase(), ChunkRecovery::Phase::kDone);
    EXPECT_EQ(recovery_->TakeRecovered().rebased, rebased);
  }

  static SharedBuffer Values(float value) {
    return TakeResidualSnapshot(kChunk, {}, 0, std::vector<float>(kNumElements, value))->payload;
  }

  std::shared_ptr<const JobDescription> description_;
  std::unique_ptr<ChunkRound> lost_;
  std::vector<std::shared_ptr<const StoredResult>> results_;  // the genesis first
  std::vector<std::vector<StagedContribution>> contributions_;
  std::unique_ptr<ChunkRecovery> recovery_;
};

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
