// Rounds of two halves: what a chunk's state machine makes of them.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "aggregator/chunk_round.h"
#include "base/digest.h"
#include "codecs/sparse_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "kernels/sketch_hash.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr size_t kElements = 256;
constexpr uint32_t kGroup = 0;

const Backend& AnyBackend() { return *FastestHostBackend(); }

MemberId Member(size_t index) { return {"w-" + std::to_string(index), 100 + index}; }

// Two members sketch and answer a group in which few elements are not zero.
class SketchRoundTest : public testing::Test {
 protected:
  SketchRoundTest()
      : description_(std::make_shared<const JobDescription>(JobDescription{
            .layout = *Layout::Create({{"weights", kElements}}, 256, DealingOptions())})),
        round_(1, kGroup, description_) {
    round_.Form(*Roster::Create(0, {Member(0), Member(1)}), {}, absl::UnixEpoch());
  }

  static Exchange SketchOf(bool with_estimates) {
    return {SketchExchange{.hash_seed = 7,
                           .rows = 3,
                           .columns = 256,
                           .num_candidates = 2,
                           .with_estimates = with_estimates}};
  }

  StagedContribution Contribution(const Exchange& exchange, Buffer payload) const {
    const uint64_t digest = Digest64(std::as_const(payload).bytes());
    return {.chunk = kGroup,
            .place = round_.place(),
            .prev_chain = round_.history().chain(),
            .exchange = exchange,
            .payload = std::make_shared<const Buffer>(std::move(payload)),
            .payload_digest = digest};
  }

  StagedContribution Sketch(const std::vector<float>& x, bool with_estimates = false) const {
    const Exchange exchange = SketchOf(with_estimates);
    const SketchShape shape = {.rows = 3, .columns = 256, .key = SketchKey(7, kGroup)};
    std::vector<float> table(SketchCells(shape));
    EXPECT_THAT(AnyBackend().sketches().Sketch(shape, x, absl::MakeSpan(table)), IsOk());
    Buffer payload(table.size() * sizeof(float));
    EXPECT_THAT(AnyBackend().EncodeDense(DType::kFloat32, table, payload.bytes()), IsOk());
    return Contribution(exchange, std::move(payload));
  }

  StagedContribution Values(uint64_t candidates_digest, const std::vector<float>& values) const {
    Buffer payload(values.size() * sizeof(float));
    EXPECT_THAT(AnyBackend().EncodeDense(DType::kFloat32, values, payload.bytes()), IsOk());
    return Contribution({ValuesExchange{.num_values = static_cast<uint32_t>(values.size()),
                                        .candidates_digest = candidates_digest}},
                        std::move(payload));
  }

  absl::Status Stage(size_t member, StagedContribution contribution) {
    return round_.Stage(Member(member), std::move(contribution), absl::UnixEpoch()).status();
  }

  std::shared_ptr<const StoredResult> Close() {
    absl::StatusOr<ChunkRound::Sealing> sealing = round_.Seal(absl::UnixEpoch());
    EXPECT_THAT(sealing, IsOk());
    if (!sealing->task.has_value()) return sealing->no_change->result;
    const absl::StatusOr<ExchangeOutcome> outcome = RunExchange(*sealing->task, AnyBackend());
    EXPECT_THAT(outcome, IsOk());
    return round_.Publish(*outcome, absl::UnixEpoch()).result;
  }

  // Plays the first half: elements 3 and 200 are chosen. Returns its digest.
  uint64_t PlayFirstHalf() {
    std::vector<float> x(kElements, 0.0f);
    x[3] = 4.0f;
    x[200] = -8.0f;
    EXPECT_THAT(Stage(0, Sketch(x)), IsOk());
    x[3] = 6.0f;
    EXPECT_THAT(Stage(1, Sketch(x)), IsOk());
    const auto result = Close();
    const auto block = DecodeSparse(result->payload->bytes(), kElements, 2, false);
    EXPECT_THAT(block, IsOk());
    EXPECT_THAT(block->indices, ElementsAre(3, 200));
    return Digest64(result->payload->bytes());
  }

  const std::shared_ptr<const JobDescription> description_;
  ChunkRound round_;
};

TEST_F(SketchRoundTest, TheSecondHalfFollowsTheFirstAndEndsTheRound) {
  const uint64_t digest = PlayFirstHalf();
  EXPECT_EQ(round_.place(), (Place{0, 1}));
  EXPECT_TRUE(round_.under_way());
  ASSERT_THAT(Stage(0, Values(digest, {4, -8})), IsOk());
  ASSERT_THAT(Stage(1, Values(digest, {6, -8})), IsOk());
  const auto result = Close();
  EXPECT_EQ(result->place, (Place{0, 1}));
  std::vector<float> mean(2);
  ASSERT_THAT(
      AnyBackend().DecodeDense(DType::kFloat32, result->payload->bytes(), absl::MakeSpan(mean)),
      IsOk());
  EXPECT_THAT(mean, ElementsAre(5.0f, -8.0f));
  EXPECT_EQ(round_.place(), (Place{1, 0}));
}

TEST_F(SketchRoundTest, TakesARepeatOfValuesWhileTheyAreAddedUp) {
  const uint64_t digest = PlayFirstHalf();
  ASSERT_THAT(Stage(0, Values(digest, {4, -8})), IsOk());
  ASSERT_THAT(Stage(1, Values(digest, {6, -8})), IsOk());
  const absl::StatusOr<ChunkRound::Sealing> sealing = round_.Seal(absl::UnixEpoch());
  ASSERT_THAT(sealing, IsOk());
  EXPECT_THAT(Stage(0, Values(digest, {4, -8})), IsOk());
}

TEST_F(SketchRoundTest, EstimatesLeaveNoSecondHalf) {
  std::vector<float> x(kElements, 0.0f);
  x[9] = 1.0f;
  ASSERT_THAT(Stage(0, Sketch(x, true)), IsOk());
  ASSERT_THAT(Stage(1, Sketch(x, true)), IsOk());
  Close();
  EXPECT_EQ(round_.place(), (Place{1, 0}));
}

TEST_F(SketchRoundTest, WithoutParticipantsThereIsNoSecondHalf) {
  for (const size_t member : {0, 1}) {
    StagedContribution abstention = {.chunk = kGroup,
                                     .place = round_.place(),
                                     .prev_chain = round_.history().chain(),
                                     .abstain = true,
                                     .exchange = SketchOf(false)};
    ASSERT_THAT(Stage(member, std::move(abstention)), IsOk());
  }
  EXPECT_EQ(Close()->place, (Place{0, 0}));
  EXPECT_EQ(round_.place(), (Place{1, 0}));
}

TEST_F(SketchRoundTest, RefusesCandidatesOfAnotherRoundAndTheRoundGoesOn) {
  const uint64_t digest = PlayFirstHalf();
  EXPECT_THAT(Stage(0, Values(digest + 1, {4, -8})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("round 0, half 1: `exchange` = values(2 FLOAT32")));
  EXPECT_THAT(Stage(0, Values(digest, {4, -8})), IsOk());
}

TEST_F(SketchRoundTest, RefusesValuesThatNobodyAskedFor) {
  const uint64_t digest = PlayFirstHalf();
  EXPECT_THAT(Stage(0, Values(digest, {4, -8, 1})),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("must be of the 2 elements that the first half chose")));
}

TEST_F(SketchRoundTest, RefusesASecondHalfBeforeItsTime) {
  StagedContribution early = Values(1, {4, -8});
  early.place = {0, 1};
  EXPECT_THAT(Stage(0, std::move(early)), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                   HasSubstr("must be the open one, round 0")));
}

TEST_F(SketchRoundTest, AnswersALateFirstHalfWithItsResult) {
  std::vector<float> x(kElements, 1.0f);
  const StagedContribution late = Sketch(x);
  PlayFirstHalf();
  const auto verdict = round_.Stage(Member(0), late, absl::UnixEpoch());
  ASSERT_THAT(verdict, IsOk());
  ASSERT_TRUE(absl::holds_alternative<ChunkRound::Answered>(*verdict));
  EXPECT_EQ(absl::get<ChunkRound::Answered>(*verdict).result->place, (Place{0, 0}));
}

TEST_F(SketchRoundTest, WhoMissedTheFirstHalfMayAnswerTheSecond) {
  std::vector<float> x(kElements, 0.0f);
  x[3] = 4.0f;
  x[200] = 1.0f;
  ASSERT_THAT(Stage(0, Sketch(x)), IsOk());
  ASSERT_THAT(Stage(1, {.chunk = kGroup,
                        .place = round_.place(),
                        .prev_chain = round_.history().chain(),
                        .abstain = true,
                        .exchange = SketchOf(false)}),
              IsOk());
  const uint64_t digest = Digest64(Close()->payload->bytes());
  ASSERT_THAT(Stage(0, Values(digest, {4, 1})), IsOk());
  ASSERT_THAT(Stage(1, Values(digest, {8, 3})), IsOk());
  v1::ResultHeader header;
  ASSERT_TRUE(header.ParseFromString(Close()->message.header()));
  EXPECT_EQ(header.half(), 1u);
  EXPECT_EQ(header.participants(), "\x03");
}

}  // namespace
}  // namespace tally
