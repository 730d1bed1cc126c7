// How a chunk closes its exchanges.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "aggregator/chunk_recovery.h"
#include "aggregator/residual.h"
#include "codecs/checked_result.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/chunk_round_fixture.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

void Fill(Residual& residual, float value) {
  const absl::Span<float> values = *residual.OnHost();
  std::fill(values.begin(), values.end(), value);
}

TEST_F(ChunkRoundTest, LeavesAnAbstainerOutOfTheMean) {
  Form(3);
  ASSERT_THAT(Stage(0, Contribution(DenseFloat32(), 2)), IsOk());
  ASSERT_THAT(Stage(1, Abstention()), IsOk());
  ASSERT_THAT(Stage(2, Contribution(DenseFloat32(), 4)), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
  ASSERT_THAT(sealing, IsOk());
  EXPECT_EQ(sealing->task->divisor, 2u);
  const auto result = Publish(*sealing);
  EXPECT_EQ(FirstValue(*result), 3);
  EXPECT_EQ(HeaderOf(*result).participants(), "\x05");
}

TEST_F(ChunkRoundTest, DividesByTheRosterWhereTheExchangeSaysSo) {
  Form(4);
  const Exchange exchange = OverRoster(DenseFloat32());
  ASSERT_THAT(Stage(0, Contribution(exchange, 4)), IsOk());
  for (const size_t i : {1, 2, 3}) ASSERT_THAT(Stage(i, Abstention()), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
  ASSERT_THAT(sealing, IsOk());
  EXPECT_EQ(sealing->task->divisor, 4u);
  EXPECT_EQ(FirstValue(*Publish(*sealing)), 1);
}

TEST_F(ChunkRoundTest, NothingChangesWhenAllAbstain) {
  Form(2);
  for (const size_t i : {0, 1}) ASSERT_THAT(Stage(i, Abstention()), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
  ASSERT_THAT(sealing, IsOk());
  EXPECT_FALSE(sealing->task.has_value());
  ASSERT_TRUE(sealing->no_change.has_value());
  EXPECT_EQ(sealing->no_change->result->payload, nullptr);
  const v1::ResultHeader header = HeaderOf(*sealing->no_change->result);
  EXPECT_EQ(header.participants(), std::string(1, '\0'));
  EXPECT_FALSE(header.has_exchange());
  EXPECT_EQ(header.payload_bytes(), 0u);
  EXPECT_EQ(header.payload_digest(), 0u);
  EXPECT_EQ(round_->phase(), ChunkRound::Phase::kOpen);
  EXPECT_EQ(round_->place().round, kFirstRound + 1);
}

TEST_F(ChunkRoundTest, TheMajoritysExchangeCountsAndTheOthersAreRefused) {
  Form(3);
  ASSERT_THAT(Stage(0, Contribution(SignBlocks256(), 1)), IsOk());  // first, but alone
  ASSERT_THAT(Stage(1, Contribution(DenseFloat32(), 2)), IsOk());
  ASSERT_THAT(Stage(2, Contribution(DenseFloat32(), 4)), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
  ASSERT_THAT(sealing, IsOk());
  ASSERT_THAT(sealing->refused, SizeIs(1));
  EXPECT_EQ(sealing->refused[0].member, Member(0));
  EXPECT_THAT(sealing->refused[0].status,
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("chunk 1, round 10: `exchange` = sign(RMS, block 256), must be "
                                 "dense(FLOAT32), which most workers sent")));
  EXPECT_EQ(sealing->task->divisor, 2u);
  const auto result = Publish(*sealing);
  EXPECT_EQ(FirstValue(*result), 3);
  EXPECT_EQ(HeaderOf(*result).participants(), "\x06");
}

TEST_F(ChunkRoundTest, AbstainersHaveNoSayInTheExchange) {
  Form(4);
  ASSERT_THAT(Stage(0, Abstention()), IsOk());  // with a dense exchange
  ASSERT_THAT(Stage(1, Abstention()), IsOk());
  ASSERT_THAT(Stage(2, Contribution(SignBlocks256(), 2)), IsOk());
  ASSERT_THAT(Stage(3, Contribution(SignBlocks256(), 2)), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
  ASSERT_THAT(sealing, IsOk());
  EXPECT_THAT(sealing->refused, IsEmpty());
  EXPECT_EQ(sealing->task->exchange, SignBlocks256());
}

TEST_F(ChunkRoundTest, ATieNamesEveryExchangeAndWhoSentIt) {
  Form(4);
  ASSERT_THAT(Stage(0, Contribution(DenseFloat32(), 1)), IsOk());
  ASSERT_THAT(Stage(1, Contribution(SignBlocks256(), 1)), IsOk());
  ASSERT_THAT(Stage(2, Contribution(SignBlocks256(), 1)), IsOk());
  ASSERT_THAT(Stage(3, Contribution(DenseFloat32(), 1)), IsOk());
  EXPECT_THAT(round_->Seal(Now()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "chunk 1, round 10: `exchange` must be the same for more than half of the "
                       "workers, but they sent dense(FLOAT32) by w-0, w-3; sign(RMS, block 256) by "
                       "w-1, w-2"));
}

TEST_F(ChunkRoundTest, KeepsTheResidualFromSignRoundToSignRound) {
  Form(2);
  StageAll(SignBlocks256(), {1, 2});
  const absl::StatusOr<ChunkRound::Sealing> first = round_->Seal(Now());
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(*first->task->residual->OnHost(), Each(0.0f));
  Publish(*first);

  // Elements of one magnitude leave nothing over, so make some up.
  Fill(*first->task->residual, 0.25f);
  StageAll(DenseFloat32(), {1, 1});
  const absl::StatusOr<ChunkRound::Sealing> dense = round_->Seal(Now());
  ASSERT_THAT(dense, IsOk());
  EXPECT_EQ(dense->task->residual, nullptr);
  Publish(*dense);

  StageAll(SignBlocks256(), {1, 2});
  const absl::StatusOr<ChunkRound::Sealing> second = round_->Seal(Now());
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(second->task->residual, first->task->residual);
  EXPECT_EQ(FirstValue(*Publish(*second)), 1.75f);  // the scale of 1.5 + 0.25
}

TEST_F(ChunkRoundTest, ZeroesTheResidualWhereTheExchangeSaysSo) {
  Form(2);
  StageAll(SignBlocks256(), {1, 2});
  const absl::StatusOr<ChunkRound::Sealing> first = round_->Seal(Now());
  ASSERT_THAT(first, IsOk());
  Publish(*first);
  Fill(*first->task->residual, 0.25f);
  const auto result = Play(ZeroingSign(), {1, 2});
  EXPECT_EQ(FirstValue(*result), 1.5f);
  EXPECT_EQ(HeaderOf(*result).exchange().sign().residual_operation(), v1::RESIDUAL_OPERATION_ZERO);
}

TEST_F(ChunkRoundTest, AnExchangeWithoutParticipantsLeavesTheResidualAlone) {
  Form(1);
  StageAll(SignBlocks256(), {1});
  const absl::StatusOr<ChunkRound::Sealing> first = round_->Seal(Now());
  ASSERT_THAT(first, IsOk());
  Publish(*first);
  Fill(*first->task->residual, 0.25f);
  StagedContribution abstention = Abstention();
  abstention.exchange = ZeroingSign();
  ASSERT_THAT(Stage(0, std::move(abstention)), IsOk());
  ASSERT_THAT(round_->Seal(Now()), IsOk());
  EXPECT_THAT(*first->task->residual->OnHost(), Each(0.25f));
}

// --- Departures ---

TEST_F(ChunkRoundTest, GoesOnWithoutAnEvictedMember) {
  Form(3);
  ASSERT_THAT(Stage(0, Contribution(DenseFloat32(), 1)), IsOk());
  ASSERT_THAT(Stage(2, Contribution(DenseFloat32(), 3)), IsOk());
  EXPECT_FALSE(round_->ready());
  round_->Evict(Member(1));
  EXPECT_THAT(round_->missing(), IsEmpty());
  ASSERT_TRUE(round_->ready());
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
  ASSERT_THAT(sealing, IsOk());
  const auto result = Publish(*sealing);
  EXPECT_EQ(FirstValue(*result), 2);
  const v1::ResultHeader header = HeaderOf(*result);
  ASSERT_EQ(header.evicted_size(), 1);
  EXPECT_EQ(header.evicted(0).worker(), "w-1");
  EXPECT_EQ(header.roster_size(), 2);
  EXPECT_EQ(header.epoch(), 1u);
  EXPECT_EQ(round_->history().roster().size(), 2u);
}

TEST_F(ChunkRoundTest, CountsWhatAnEvictedMemberHadContributed) {
  Form(2);
  ASSERT_THAT(Stage(1, Contribution(DenseFloat32(), 4)), IsOk());
  round_->Evict(Member(1));
  ASSERT_THAT(Stage(0, Contribution(DenseFloat32(), 2)), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
  ASSERT_THAT(sealing, IsOk());
  EXPECT_EQ(FirstValue(*Publish(*sealing)), 3);
}

TEST_F(ChunkRoundTest, AMemberThatLeavesTakesPartUpToItsLastRound) {
  Form(2);
  round_->Leave(Member(1), /*gone_from=*/kFirstRound + 1, /*hands_over=*/true);
  ASSERT_THAT(Stage(0, Contribution(DenseFloat32(), 2)), IsOk());
  EXPECT_FALSE(round_->ready()) << "its last round is this one";
  ASSERT_THAT(Stage(1, Contribution(DenseFloat32(), 4)), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> last = round_->Seal(Now());
  EXPECT_EQ(FirstValue(*Publish(*last)), 3);
  ASSERT_THAT(Stage(0, Contribution(DenseFloat32(), 5)), IsOk());
  ASSERT_TRUE(round_->ready());
  const absl::StatusOr<ChunkRound::Sealing> next = round_->Seal(Now());
  const auto result = Publish(*next);
  EXPECT_EQ(FirstValue(*result), 5);
  ASSERT_EQ(HeaderOf(*result).left_size(), 1);
  EXPECT_EQ(HeaderOf(*result).left(0).member().worker(), "w-1");
  EXPECT_EQ(HeaderOf(*result).left(0).heir(), "w-0");
}

TEST_F(ChunkRoundTest, WhoHandsNothingOverHasNoHeir) {
  Form(2);
  round_->Leave(Member(1), kFirstRound, /*hands_over=*/false);
  ASSERT_THAT(Stage(0, Contribution(DenseFloat32(), 2)), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
  const v1::ResultHeader header = HeaderOf(*Publish(*sealing));
  ASSERT_EQ(header.left_size(), 1);
  EXPECT_EQ(header.left(0).heir(), "");
}

TEST_F(ChunkRoundTest, WhoLeavesWithoutHavingComeDoesNotHideThatItsElderIsDead) {
  Form(2);
  ASSERT_THAT(Stage(0, Contribution(DenseFloat32(), 1)), IsOk());
  round_->Evict(Member(1));
  round_->Leave({Member(1).worker, Member(1).incarnation + 1}, kFirstRound, /*hands_over=*/true);
  EXPECT_TRUE(round_->ready()) << "the dead one is not waited for";
}

TEST_F(ChunkRoundTest, NothingIsSealedOnceEverybodyHasLeft) {
  Form(2);
  for (const size_t i : {0, 1})
    round_->Leave(Member(i), /*gone_from=*/kFirstRound, /*hands_over=*/true);
  EXPECT_FALSE(round_->ready());
}

TEST_F(ChunkRoundTest, RoundsWithoutAnybodyLeadToWhoeverComes) {
  Form(2);
  round_->Activate(Member(2), kFirstRound + 2);
  for (const size_t i : {0, 1})
    round_->Leave(Member(i), /*gone_from=*/kFirstRound, /*hands_over=*/true);
  for (int rounds = 0; rounds < 2; ++rounds) {
    ASSERT_TRUE(round_->ready());
    const absl::StatusOr<ChunkRound::Sealing> nothing = round_->Seal(Now());
    ASSERT_THAT(nothing, IsOk());
    ASSERT_TRUE(nothing->no_change.has_value());
  }
  EXPECT_THAT(round_->history().roster().members(), testing::ElementsAre(Member(2)));
  EXPECT_FALSE(round_->ready()) << "it is waited for";
}

TEST_F(ChunkRoundTest, NobodyComesWhoWantsToMuchLater) {
  Form(2);
  round_->Activate(Member(2), kFirstRound + 1'000);
  for (const size_t i : {0, 1})
    round_->Leave(Member(i), /*gone_from=*/kFirstRound, /*hands_over=*/true);
  EXPECT_FALSE(round_->ready());
}

TEST_F(ChunkRoundTest, WhoTracksTheMeanStartsAnewWhereTheRosterChanges) {
  Form(2);
  StageAll(OverRoster(SignBlocks256()), {1, 2});
  const absl::StatusOr<ChunkRound::Sealing> first = round_->Seal(Now());
  EXPECT_FALSE(HeaderOf(*Publish(*first)).tracking_rebase());
  round_->Evict(Member(1));
  ASSERT_THAT(Stage(0, Contribution(OverRoster(SignBlocks256()), 1)), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> second = round_->Seal(Now());
  EXPECT_TRUE(HeaderOf(*Publish(*second)).tracking_rebase());
  // The residual is zero again: the mean of one is that one.
  ASSERT_THAT(Stage(0, Contribution(OverRoster(SignBlocks256()), 3)), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> third = round_->Seal(Now());
  EXPECT_EQ(FirstValue(*Publish(*third)), 3);
}

TEST_F(ChunkRoundTest, ARosterThatChangesBeforeAnyExchangeIsRemembered) {
  Form(2);
  round_->Evict(Member(1));
  ASSERT_THAT(Stage(0, Abstention()), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> nothing = round_->Seal(Now());
  EXPECT_FALSE(HeaderOf(*nothing->no_change->result).tracking_rebase()) << "nobody has told so yet";
  ASSERT_THAT(Stage(0, Contribution(OverRoster(SignBlocks256()), 1)), IsOk());
  EXPECT_TRUE(HeaderOf(*Publish(*round_->Seal(Now()))).tracking_rebase());
}

// What tracks is told by exchanges; the newest entry of a chunk that is read back may have none.
class RestartedChunkRoundTest : public ChunkRoundTest {
 protected:
  // All of so many members abstain; then the chunk is read back.
  void RestartAfterAllAbstain(size_t num_members, bool loses_residual = false) {
    for (size_t i = 0; i < num_members; ++i) ASSERT_THAT(Stage(i, Abstention()), IsOk());
    const absl::StatusOr<ChunkRound::Sealing> nothing = round_->Seal(Now());
    const StoredResult& head = *nothing->no_change->result;
    ChunkRecovery::Recovered recovered;
    recovered.results.push_back(
        *CheckResult(head.message, head.payload, description_->layout, *HostBackends().front()));
    recovered.roster = round_->history().roster();
    recovered.rebased = loses_residual;
    round_ = std::make_unique<ChunkRound>(kSerial + 1, kChunk, description_);
    round_->Restore(std::move(recovered), Now());
  }
};

TEST_F(RestartedChunkRoundTest, WhoTracksTheMeanStartsAnew) {
  Form(2);
  StageAll(OverRoster(SignBlocks256()), {1, 2});
  Publish(*round_->Seal(Now()));
  RestartAfterAllAbstain(2);
  round_->Evict(Member(1));
  ASSERT_THAT(Stage(0, Abstention()), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> changed = round_->Seal(Now());
  EXPECT_TRUE(HeaderOf(*changed->no_change->result).tracking_rebase());
}

// The same for a rebase that a genesis has announced.
TEST_F(RestartedChunkRoundTest, AnAnnouncedRebaseOutlivesARestart) {
  genesis_ = round_->Form(RosterOf(2), {.other_workers = true}, Now());
  RestartAfterAllAbstain(2);
  StageAll(OverRoster(SignBlocks256()), {1, 2});
  EXPECT_TRUE(HeaderOf(*Publish(*round_->Seal(Now()))).tracking_rebase());
}

TEST_F(RestartedChunkRoundTest, AResidualThatIsLostBeforeAnyExchangeIsRemembered) {
  Form(2);
  RestartAfterAllAbstain(2, /*loses_residual=*/true);
  for (size_t i = 0; i < 2; ++i) ASSERT_THAT(Stage(i, Abstention()), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> nothing = round_->Seal(Now());
  const v1::ResultHeader header = HeaderOf(*nothing->no_change->result);
  EXPECT_TRUE(header.residual_rebased());
  EXPECT_FALSE(header.tracking_rebase()) << "nobody has told yet that it tracks";
  StageAll(OverRoster(SignBlocks256()), {1, 2});
  EXPECT_TRUE(HeaderOf(*Publish(*round_->Seal(Now()))).tracking_rebase());
}

TEST_F(ChunkRoundTest, ASnapshotOfTheResidualGoesToAMemberWhoStays) {
  Form(2);
  StageAll(SignBlocks256(), {1, 2});
  const absl::StatusOr<ChunkRound::Sealing> first = round_->Seal(Now());
  EXPECT_EQ(first->task->snapshot_of, nullptr) << "round 10 of chunk 1 is not due";
  Publish(*first);
  round_->Evict(Member(0));
  ASSERT_THAT(Stage(1, Contribution(SignBlocks256(), 1)), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> second = round_->Seal(Now());
  ASSERT_NE(second->task->snapshot_of, nullptr) << "an entry that names a departure is";
  const absl::StatusOr<ExchangeOutcome> outcome =
      RunExchange(*second->task, *HostBackends().front());
  const ChunkRound::Published published = round_->Publish(*outcome, Now());
  ASSERT_TRUE(published.snapshot.has_value());
  EXPECT_EQ(published.snapshot->custodian, Member(1));
  EXPECT_EQ(published.snapshot->snapshot->chain, published.result->chain);
  EXPECT_EQ(published.snapshot->snapshot->payload->size(), kNumElements * sizeof(float));
}

}  // namespace
}  // namespace tally
