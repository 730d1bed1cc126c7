#include "aggregator/chunk_round.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/backends.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kSerial = 5;
constexpr uint32_t kChunk = 1;
constexpr uint64_t kFirstRound = 10;
constexpr size_t kNumElements = 512;

SharedBuffer BufferOf(const std::string& bytes) {
  Buffer buffer(bytes.size());
  std::copy(bytes.begin(), bytes.end(), buffer.bytes().begin());
  return std::make_shared<const Buffer>(std::move(buffer));
}

MemberId Member(size_t index) { return {"w-" + std::to_string(index), 100 + index}; }

Roster RosterOf(size_t size) {
  std::vector<MemberId> members;
  for (size_t i = 0; i < size; ++i) members.push_back(Member(i));
  absl::StatusOr<Roster> roster = Roster::Create(0, std::move(members));
  EXPECT_THAT(roster, IsOk());
  return *std::move(roster);
}

Exchange OverRoster(Exchange exchange) {
  exchange.divisor = Divisor::kRoster;
  return exchange;
}

Exchange ZeroingSign() {
  Exchange exchange = SignBlocks256();
  absl::get<SignExchange>(exchange.kind).zero_residual = true;
  return exchange;
}

// A chunk whose members contribute the same value to every element.
class ChunkRoundTest : public testing::Test {
 protected:
  ChunkRoundTest() {
    absl::StatusOr<ValidHello> valid =
        ValidateHello(HelloBuilder().FirstRound(kFirstRound).Build(), "agg-0");
    EXPECT_THAT(valid, IsOk());
    description_ = std::make_shared<const JobDescription>(std::move(valid)->description);
    round_ = std::make_unique<ChunkRound>(kSerial, kChunk, description_);
  }

  void Form(size_t roster_size) { genesis_ = round_->Form(RosterOf(roster_size), {}, Now()); }

  absl::Time Now() const { return absl::UnixEpoch() + elapsed_; }

  StagedContribution Contribution(const Exchange& exchange, float value) const {
    const std::string payload = absl::holds_alternative<DenseExchange>(exchange.kind)
                                    ? DensePayload(std::vector<float>(kNumElements, value))
                                    : SignPayload({value, value}, kNumElements);
    return {.chunk = kChunk,
            .place = round_->place(),
            .prev_chain = round_->history().chain(),
            .exchange = exchange,
            .payload = BufferOf(payload),
            .payload_digest = Digest64(payload)};
  }

  StagedContribution Abstention() const {
    return {.chunk = kChunk,
            .place = round_->place(),
            .prev_chain = round_->history().chain(),
            .abstain = true,
            .exchange = DenseFloat32()};
  }

  absl::StatusOr<ChunkRound::Verdict> Stage(size_t member, StagedContribution contribution) {
    return round_->Stage(Member(member), std::move(contribution), Now());
  }

  // Member i contributes values[i].
  void StageAll(const Exchange& exchange, const std::vector<float>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_THAT(Stage(i, Contribution(exchange, values[i])), IsOk());
    }
  }

  std::shared_ptr<const StoredResult> Publish(const ChunkRound::Sealing& sealing) {
    const absl::StatusOr<ExchangeOutcome> outcome =
        RunExchange(*sealing.task, *SupportedBackends().front());
    EXPECT_THAT(outcome, IsOk());
    return round_->Publish(*outcome, Now()).result;
  }

  // Plays one exchange to its end.
  std::shared_ptr<const StoredResult> Play(const Exchange& exchange,
                                           const std::vector<float>& values) {
    StageAll(exchange, values);
    absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
    EXPECT_THAT(sealing, IsOk());
    return Publish(*sealing);
  }

  static v1::ResultHeader HeaderOf(const StoredResult& result) {
    v1::ResultHeader header;
    EXPECT_TRUE(header.ParseFromString(result.message.header()));
    return header;
  }

  static float FirstValue(const StoredResult& result) {
    float value = 0;
    std::memcpy(&value, result.payload->data(), sizeof(value));
    return value;
  }

  absl::Duration elapsed_;
  std::shared_ptr<const JobDescription> description_;
  std::unique_ptr<ChunkRound> round_;
  std::shared_ptr<const StoredResult> genesis_;
};

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
  EXPECT_EQ(*first->task->residual, std::vector<float>(kNumElements, 0.0f));
  Publish(*first);

  // Elements of one magnitude leave nothing over, so make some up.
  first->task->residual->assign(kNumElements, 0.25f);
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
  first->task->residual->assign(kNumElements, 0.25f);
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
  first->task->residual->assign(kNumElements, 0.25f);
  StagedContribution abstention = Abstention();
  abstention.exchange = ZeroingSign();
  ASSERT_THAT(Stage(0, std::move(abstention)), IsOk());
  ASSERT_THAT(round_->Seal(Now()), IsOk());
  EXPECT_EQ(*first->task->residual, std::vector<float>(kNumElements, 0.25f));
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
  round_->Leave(Member(1), /*gone_from=*/kFirstRound + 1);
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
}

TEST_F(ChunkRoundTest, NothingIsSealedOnceEverybodyHasLeft) {
  Form(2);
  for (const size_t i : {0, 1}) round_->Leave(Member(i), /*gone_from=*/kFirstRound);
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
      RunExchange(*second->task, *SupportedBackends().front());
  const ChunkRound::Published published = round_->Publish(*outcome, Now());
  ASSERT_TRUE(published.snapshot.has_value());
  EXPECT_EQ(published.snapshot->custodian, Member(1));
  EXPECT_EQ(published.snapshot->snapshot->chain, published.result->chain);
  EXPECT_EQ(published.snapshot->snapshot->payload->size(), kNumElements * sizeof(float));
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
