#include "aggregator/chunk_round.h"

#include <limits>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/chunk_round_fixture.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(ChunkRoundTest, IsFormingUntilTheGenesis) {
  EXPECT_EQ(round_->phase(), ChunkRound::Phase::kForming);
  EXPECT_FALSE(round_->ready());
  EXPECT_THAT(Stage(0, Contribution(DenseFloat32(), 1)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("`round` must wait until the run has started")));
}

TEST_F(ChunkRoundTest, TheGenesisSaysWhatTheRunIs) {
  Form(2);
  const v1::ResultHeader header = HeaderOf(*genesis_);
  EXPECT_EQ(header.run(), 7u);
  EXPECT_EQ(header.chunk(), kChunk);
  EXPECT_EQ(header.round(), kFirstRound - 1);
  EXPECT_EQ(header.genesis().seed(), 42u);
  EXPECT_EQ(header.genesis().layout_digest(), description_->layout_digest);
  EXPECT_EQ(header.genesis().settings_digest(), description_->settings_digest);
  EXPECT_EQ(header.genesis().initial_state_digest(), 0xabcu);
  EXPECT_THAT(header.roster(), SizeIs(2));
  EXPECT_EQ(header.prev_chain(), 0u);
  EXPECT_EQ(genesis_->payload, nullptr);
}

TEST_F(ChunkRoundTest, TheGenesisOfRoundZeroStandsBeforeIt) {
  absl::StatusOr<ValidHello> valid = ValidateHello(HelloBuilder().Build(), "agg-0");
  ASSERT_THAT(valid, IsOk());
  ChunkRound round(kSerial, 0, std::make_shared<const JobDescription>(valid->description));
  EXPECT_EQ(round.Form(RosterOf(1), {}, Now())->place.round, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(round.place().round, 0u);
}

TEST_F(ChunkRoundTest, OpensAtTheFirstRoundAndWaitsForAll) {
  Form(3);
  EXPECT_EQ(round_->phase(), ChunkRound::Phase::kOpen);
  EXPECT_EQ(round_->place().round, kFirstRound);
  EXPECT_THAT(round_->missing(), ElementsAre(Member(0), Member(1), Member(2)));
  EXPECT_THAT(Stage(1, Contribution(DenseFloat32(), 1)), IsOk());
  EXPECT_EQ(round_->num_arrived(), 1u);
  EXPECT_THAT(round_->missing(), ElementsAre(Member(0), Member(2)));
  EXPECT_FALSE(round_->ready());
}

TEST_F(ChunkRoundTest, SealsWhatIsThereAndOpensTheNextRoundWithTheResult) {
  Form(2);
  StageAll(DenseFloat32(), {1, 5});
  ASSERT_TRUE(round_->ready());
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
  ASSERT_THAT(sealing, IsOk());
  EXPECT_EQ(round_->phase(), ChunkRound::Phase::kSealed);
  EXPECT_FALSE(round_->ready());
  EXPECT_FALSE(sealing->no_change.has_value());
  EXPECT_THAT(sealing->refused, IsEmpty());
  EXPECT_EQ(sealing->task->job_serial, kSerial);
  EXPECT_EQ(sealing->task->chunk, kChunk);
  EXPECT_EQ(sealing->task->place.round, kFirstRound);
  EXPECT_THAT(sealing->task->payloads, SizeIs(2));

  const auto result = Publish(*sealing);
  EXPECT_EQ(FirstValue(*result), 3);
  const v1::ResultHeader header = HeaderOf(*result);
  EXPECT_EQ(header.round(), kFirstRound);
  EXPECT_EQ(header.prev_chain(), genesis_->chain);
  EXPECT_EQ(header.participants(), "\x03");
  EXPECT_EQ(header.exchange().dense().data_type(), v1::DATA_TYPE_FLOAT32);
  EXPECT_EQ(header.payload_bytes(), result->payload->size());
  EXPECT_EQ(header.payload_digest(), Digest64(result->payload->bytes()));
  EXPECT_EQ(round_->phase(), ChunkRound::Phase::kOpen);
  EXPECT_EQ(round_->place().round, kFirstRound + 1);
  EXPECT_EQ(round_->num_arrived(), 0u);
  EXPECT_EQ(round_->history().newest(), result);
}

TEST_F(ChunkRoundTest, TheResultDoesNotDependOnTheOrderOfArrival) {
  Form(3);
  const std::vector<float> values = {1e8f, 1, -1e8f};  // a sum that depends on its order
  const auto in_order = Play(DenseFloat32(), values);
  for (const size_t i : {2, 0, 1}) {
    ASSERT_THAT(Stage(i, Contribution(DenseFloat32(), values[i])), IsOk());
  }
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
  ASSERT_THAT(sealing, IsOk());
  EXPECT_EQ(FirstValue(*Publish(*sealing)), FirstValue(*in_order));
}

TEST_F(ChunkRoundTest, AdviceTellsTheWaitAndTheComputation) {
  Form(2);
  elapsed_ += absl::Seconds(3);
  ASSERT_THAT(Stage(0, Contribution(DenseFloat32(), 1)), IsOk());
  elapsed_ += absl::Milliseconds(250);
  ASSERT_THAT(Stage(1, Contribution(DenseFloat32(), 1)), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
  ASSERT_THAT(sealing, IsOk());
  elapsed_ += absl::Milliseconds(40);
  const auto result = Publish(*sealing);
  EXPECT_EQ(result->message.advice().wait_us(), 250'000u);
  EXPECT_EQ(result->message.advice().compute_us(), 40'000u);
  EXPECT_EQ(round_->opened_at(), Now());
}

TEST_F(ChunkRoundTest, TakesARepeatWithoutCountingIt) {
  Form(2);
  ASSERT_THAT(Stage(0, Contribution(DenseFloat32(), 1)), IsOk());
  const auto repeat = Stage(0, Contribution(DenseFloat32(), 1));
  ASSERT_THAT(repeat, IsOk());
  EXPECT_TRUE(absl::get<ChunkRound::Staged>(*repeat).repeat);
  EXPECT_EQ(round_->num_arrived(), 1u);
  ASSERT_THAT(Stage(1, Contribution(DenseFloat32(), 3)), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
  ASSERT_THAT(sealing, IsOk());
  EXPECT_THAT(sealing->task->payloads, SizeIs(2));
}

TEST_F(ChunkRoundTest, TakesARepeatWhileTheResultIsBeingComputed) {
  Form(1);
  StageAll(DenseFloat32(), {1});
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
  ASSERT_THAT(sealing, IsOk());
  const auto repeat = Stage(0, Contribution(DenseFloat32(), 1));
  ASSERT_THAT(repeat, IsOk());
  EXPECT_TRUE(absl::get<ChunkRound::Staged>(*repeat).repeat);
}

TEST_F(ChunkRoundTest, RefusesSecondContributionWithOtherBytesFromSameWorker) {
  Form(2);
  ASSERT_THAT(Stage(0, Contribution(DenseFloat32(), 1)), IsOk());
  EXPECT_THAT(Stage(0, Contribution(DenseFloat32(), 2)),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       AllOf(HasSubstr("chunk 1, round 10: `payload_digest` = "),
                             HasSubstr(" as in this worker's first contribution"))));
  EXPECT_EQ(round_->num_arrived(), 1u);
}

TEST_F(ChunkRoundTest, RefusesAnAbstentionAfterAContribution) {
  Form(2);
  ASSERT_THAT(Stage(0, Contribution(DenseFloat32(), 1)), IsOk());
  EXPECT_THAT(Stage(0, Abstention()),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("abstaining, must be ")));
}

TEST_F(ChunkRoundTest, RefusesTheSameBytesAsAnotherExchange) {
  Form(2);
  ASSERT_THAT(Stage(0, Contribution(DenseFloat32(), 1)), IsOk());
  EXPECT_THAT(
      Stage(0, Contribution(OverRoster(DenseFloat32()), 1)),
      StatusIs(absl::StatusCode::kAlreadyExists,
               AllOf(HasSubstr("dense(FLOAT32, over roster)"), HasSubstr("dense(FLOAT32) as"))));
}

TEST_F(ChunkRoundTest, AnswersAContributionToARoundThatIsOver) {
  Form(1);
  const auto first = Play(DenseFloat32(), {1});
  StagedContribution again = Contribution(DenseFloat32(), 1);
  again.place.round = kFirstRound;
  again.prev_chain = genesis_->chain;
  const auto verdict = Stage(0, std::move(again));
  ASSERT_THAT(verdict, IsOk());
  EXPECT_EQ(absl::get<ChunkRound::Answered>(*verdict).result, first);
  EXPECT_EQ(round_->num_arrived(), 0u);
}

TEST_F(ChunkRoundTest, RefusesARoundWhoseResultIsNoLongerKept) {
  Form(1);
  for (int round = 0; round < 3; ++round) Play(DenseFloat32(), {1});
  StagedContribution old = Contribution(DenseFloat32(), 1);
  old.place.round = kFirstRound;
  EXPECT_THAT(Stage(0, std::move(old)),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("chunk 1, round 10: `round` is over and its result no longer "
                                 "kept; round 13 is open")));
}

TEST_F(ChunkRoundTest, RefusesARoundThatIsNotOpenYet) {
  Form(1);
  StagedContribution early = Contribution(DenseFloat32(), 1);
  early.place.round = kFirstRound + 1;
  EXPECT_THAT(Stage(0, std::move(early)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("chunk 1, round 11: `round` must be the open one, round 10")));
}

TEST_F(ChunkRoundTest, RefusesAnotherHistory) {
  Form(1);
  StagedContribution forked = Contribution(DenseFloat32(), 1);
  forked.prev_chain = 0xbad;
  EXPECT_THAT(Stage(0, std::move(forked)), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                    HasSubstr("`prev_chain` = bad, must be ")));
}

TEST_F(ChunkRoundTest, RefusesWhoIsNotInTheRoster) {
  Form(2);
  EXPECT_THAT(Stage(2, Contribution(DenseFloat32(), 1)),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("`member` = w-2/102 must be in the roster")));
  EXPECT_THAT(round_->Stage({"w-0", 99}, Contribution(DenseFloat32(), 1), Now()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("`member` = w-0/99 must be in the roster")));
}

using ChunkRoundDeathTest = ChunkRoundTest;

TEST_F(ChunkRoundDeathTest, SealsOnlyWhenEverybodyIsThere) {
  Form(2);
  EXPECT_DEATH((void)round_->Seal(Now()), "enough are there");
}

TEST_F(ChunkRoundDeathTest, FormsOnce) {
  Form(2);
  EXPECT_DEATH(round_->Form(RosterOf(2), {}, Now()), "a history starts once");
}

TEST_F(ChunkRoundDeathTest, PublishesOnlyWhatIsSealed) {
  Form(1);
  EXPECT_DEATH(round_->Publish({.place = {kFirstRound, 0}}, Now()),
               "must be the sealed exchange's");
}

}  // namespace
}  // namespace tally
