#include "client/chunk_history.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/buffer.h"
#include "base/digest.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/place.h"
#include "codecs/sparse_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"
#include "tests/util/worker_run.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ChunkHistoryTest : public testing::Test {
 protected:
  ChunkHistoryTest() {
    identity_.run = options_.run;
    identity_.first_round = options_.first_round;
    identity_.genesis = maker_.GenesisOf(0).genesis();
    identity_.member = Self();
  }

  CheckedResult Next(const std::vector<MemberId>& participants = {Self(), Other()}) {
    return maker_.Checked(maker_.NextOf(0, {DenseExchange{}}, participants));
  }

  const ClientOptions options_ = OptionsOf(1, 1);
  ResultMaker maker_{*options_.layout, RunOf(options_)};
  RunIdentity identity_;
  ChunkHistory history_{0, &identity_};
};

TEST_F(ChunkHistoryTest, AppliesOneEntryAfterTheOther) {
  EXPECT_FALSE(history_.begun());
  EXPECT_FALSE(history_.IsOver(0));
  ASSERT_THAT(history_.Apply(maker_.Checked(maker_.GenesisOf(0))), IsOk());
  EXPECT_TRUE(history_.begun());
  EXPECT_FALSE(history_.IsOver(0));
  EXPECT_EQ(history_.roster().size(), 2u);
  const CheckedResult next = Next();
  const absl::StatusOr<ChunkHistory::Applied> applied = history_.Apply(next);
  ASSERT_THAT(applied, IsOk());
  EXPECT_TRUE(applied->counted);
  EXPECT_TRUE(applied->member);
  EXPECT_EQ(applied->num_participants, 2u);
  EXPECT_TRUE(history_.IsOver(0));
  EXPECT_FALSE(history_.IsOver(1));
  EXPECT_EQ(history_.chain(), next.chain);
  EXPECT_EQ(history_.Head().round(), 0u);
}

TEST_F(ChunkHistoryTest, CountsOnlyThisIncarnation) {
  MemberId former = Self();
  former.incarnation = 10;
  identity_.member = former;
  ChunkHistory history(0, &identity_);
  EXPECT_THAT(history.Apply(maker_.Checked(maker_.GenesisOf(0))),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("has started without worker `w-1`, incarnation 10")));
  EXPECT_FALSE(history.begun());
}

// What the earlier process of this worker has contributed is not this one's to take out.
TEST_F(ChunkHistoryTest, AnEarlierIncarnationsContributionIsAnothersContribution) {
  identity_.member.incarnation += 1;
  ChunkHistory history(0, &identity_);
  const CheckedResult genesis = maker_.Checked(maker_.GenesisOf(0));
  history.BeginAfter(PlaceOf(genesis.header), genesis.chain, *Roster::Create(1, {Self(), Other()}));
  const absl::StatusOr<ChunkHistory::Applied> applied = history.Apply(Next());
  ASSERT_THAT(applied, IsOk());
  EXPECT_FALSE(applied->counted);
  EXPECT_FALSE(applied->member);
  EXPECT_EQ(applied->num_participants, 2u);
}

TEST_F(ChunkHistoryTest, OldEntriesAreDuplicates) {
  const CheckedResult genesis = maker_.Checked(maker_.GenesisOf(0));
  ASSERT_THAT(history_.Apply(genesis), IsOk());
  const CheckedResult first = Next();
  ASSERT_THAT(history_.Apply(first), IsOk());
  for (const CheckedResult* again : {&genesis, &first}) {
    const absl::StatusOr<ChunkHistory::Applied> applied = history_.Apply(*again);
    ASSERT_THAT(applied, IsOk());
    EXPECT_TRUE(applied->duplicate);
  }
  EXPECT_EQ(history_.chain(), first.chain);
}

TEST_F(ChunkHistoryTest, RefusesGenesisOfAnotherRun) {
  const struct {
    std::string words;
    std::function<void(v1::ResultHeader&)> spoil;
  } rows[] = {
      {"`run` = 8, must be 7", [](auto& h) { h.set_run(8); }},
      {"`genesis` is unset", [](auto& h) { h.clear_genesis(); }},
      {"`genesis.seed` = 0000000000000001, must be 000000000000004d",
       [](auto& h) { h.mutable_genesis()->set_seed(1); }},
      {"`genesis.layout_digest` = ", [](auto& h) { h.mutable_genesis()->set_layout_digest(1); }},
      {"`genesis.settings_digest` = ",
       [](auto& h) { h.mutable_genesis()->set_settings_digest(1); }},
      {"`genesis.initial_state_digest` = ",
       [](auto& h) { h.mutable_genesis()->set_initial_state_digest(1); }},
      {"`prev_chain` = 0000000000000001, must be 0000000000000000",
       [](auto& h) { h.set_prev_chain(1); }},
      {"`genesis` is set", [](auto& h) { h.set_round(5); }},
      {"roster", [](auto& h) { h.clear_roster(); }},
      {"roster[1]", [](auto& h) { h.mutable_roster()->SwapElements(0, 1); }},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.words);
    v1::ResultHeader header = maker_.GenesisOf(0);
    row.spoil(header);
    ChunkHistory history(0, &identity_);
    EXPECT_THAT(history.Apply(maker_.Checked(header)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(row.words)));
    EXPECT_FALSE(history.begun());
  }
}

TEST_F(ChunkHistoryTest, RefusesAnEntryBeforeGenesis) {
  ResultMaker maker(*options_.layout, RunOf(options_));
  maker.Checked(maker.GenesisOf(0));
  EXPECT_THAT(history_.Apply(maker.Checked(maker.NextOf(0, {DenseExchange{}}))),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("before the genesis")));
}

TEST_F(ChunkHistoryTest, RefusesASecondEntryInTheSamePlace) {
  ASSERT_THAT(history_.Apply(maker_.Checked(maker_.GenesisOf(0))), IsOk());
  ResultMaker other = maker_;
  ASSERT_THAT(history_.Apply(Next()), IsOk());
  EXPECT_THAT(history_.Apply(other.Checked(other.NextOf(0, {DenseExchange{}}, {Other()}))),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("chunk 0, round 0: a second result, chain "),
                             HasSubstr("must be the first one's, chain "))));
}

TEST_F(ChunkHistoryTest, RefusesAnEntryFromTheFuture) {
  ASSERT_THAT(history_.Apply(maker_.Checked(maker_.GenesisOf(0))), IsOk());
  Next();
  EXPECT_THAT(history_.Apply(Next()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("chunk 0, round 1: comes from")));
}

TEST_F(ChunkHistoryTest, RefusesAnEntryOfAnotherHistory) {
  ASSERT_THAT(history_.Apply(maker_.Checked(maker_.GenesisOf(0))), IsOk());
  v1::ResultHeader header = maker_.NextOf(0, {DenseExchange{}});
  header.set_prev_chain(0xabc);
  EXPECT_THAT(history_.Apply(maker_.Checked(header)),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("round 0: `prev_chain` = 0000000000000abc, must be ")));
}

TEST_F(ChunkHistoryTest, RefusesRosterAndParticipantsThatDoNotFollow) {
  ASSERT_THAT(history_.Apply(maker_.Checked(maker_.GenesisOf(0))), IsOk());
  v1::ResultHeader epoch = maker_.NextOf(0, {DenseExchange{}});
  epoch.set_epoch(9);
  v1::ResultHeader participants = maker_.NextOf(0, {DenseExchange{}});
  participants.set_participants("\x07");
  for (const v1::ResultHeader& header : {epoch, participants}) {
    ResultMaker maker = maker_;
    EXPECT_THAT(history_.Apply(maker.Checked(header)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("chunk 0, round 0: `header.")));
  }
}

TEST_F(ChunkHistoryTest, FollowsTheRosterOfTheHeaders) {
  ASSERT_THAT(history_.Apply(maker_.Checked(maker_.GenesisOf(0))), IsOk());
  v1::ResultHeader header = maker_.NextOf(0, {DenseExchange{}});
  *header.add_left()->mutable_member() = EncodeMember(Other());
  *header.add_roster() = EncodeMember(Self());
  header.set_epoch(2);
  ASSERT_THAT(history_.Apply(maker_.Checked(header)), IsOk());
  EXPECT_EQ(history_.roster().size(), 1u);
  EXPECT_EQ(history_.Head().epoch(), 2u);
  const absl::StatusOr<ChunkHistory::Applied> applied = history_.Apply(Next({Self()}));
  ASSERT_THAT(applied, IsOk());
  EXPECT_EQ(applied->num_participants, 1u);
}

// A sketch round of a group, whose first half chose elements 7 and 9.
class SketchHistoryTest : public testing::Test {
 protected:
  SketchHistoryTest() {
    identity_.run = options_.run;
    identity_.genesis = maker_.GenesisOf(0).genesis();
    identity_.member = Self();
    EXPECT_THAT(history_.Apply(maker_.Checked(maker_.GenesisOf(0))), IsOk());
    const Exchange sketch = {SketchExchange{.rows = 3, .columns = 32, .num_candidates = 2}};
    const auto candidates = std::make_shared<const Buffer>(EncodeSparse({7, 9}, {}, 512));
    candidates_digest_ = Digest64(candidates->bytes());
    v1::ResultHeader header = maker_.NextOf(0, sketch);
    header.set_payload_bytes(candidates->size());
    header.set_payload_digest(candidates_digest_);
    CheckedResult first_half = maker_.Checked(header);
    first_half.payload = candidates;
    EXPECT_THAT(history_.Apply(first_half), IsOk());
  }

  static ClientOptions DealtOptions() {
    ClientOptions options = OptionsOf(1, 1);
    options.layout = *Layout::Create({{"weights", 512}}, 512, DealingOptions());
    return options;
  }

  absl::Status ApplyValues(uint32_t num_values, uint64_t candidates_digest) {
    v1::ResultHeader header = maker_.NextOf(
        0, {ValuesExchange{.num_values = num_values, .candidates_digest = candidates_digest}});
    header.set_round(0);
    header.set_half(1);
    // A maker that only this result came from.
    ResultMaker maker = maker_;
    return history_.Apply(maker.Checked(header)).status();
  }

  const ClientOptions options_ = DealtOptions();
  ResultMaker maker_{*options_.layout, RunOf(options_)};
  RunIdentity identity_;
  ChunkHistory history_{0, &identity_};
  uint64_t candidates_digest_ = 0;
};

TEST_F(SketchHistoryTest, TakesTheValuesOfItsCandidates) {
  EXPECT_EQ(history_.next(), (Place{0, 1}));
  EXPECT_THAT(ApplyValues(2, candidates_digest_), IsOk());
  EXPECT_EQ(history_.next(), (Place{1, 0}));
}

TEST_F(SketchHistoryTest, RefusesAnotherNumberOfValuesAndValuesOfOtherCandidates) {
  for (const auto& [num_values, digest] :
       {std::pair{1u, candidates_digest_}, std::pair{3u, candidates_digest_},
        std::pair{512u, candidates_digest_}, std::pair{2u, candidates_digest_ + 1}}) {
    SCOPED_TRACE(num_values);
    EXPECT_THAT(ApplyValues(num_values, digest),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr("chunk 0, round 0, half 1: `exchange` = values("),
                               HasSubstr(", must be of the 2 elements that the first half chose, "
                                         "payload digest "))));
    EXPECT_EQ(history_.next(), (Place{0, 1}));
  }
}

TEST_F(SketchHistoryTest, NobodyNeedsToAnswer) {
  v1::ResultHeader header = maker_.NextOf(0, {DenseExchange{}}, {});
  header.set_round(0);
  header.set_half(1);
  ASSERT_THAT(history_.Apply(maker_.Checked(header)), IsOk());
  EXPECT_EQ(history_.next(), (Place{1, 0}));
}

}  // namespace
}  // namespace tally
