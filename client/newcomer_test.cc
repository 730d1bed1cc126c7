#include "client/newcomer.h"

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/result_maker.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kPatience = absl::Seconds(30);

// Two chunks on two aggregators, watched after round 4.
class NewcomerTest : public testing::Test {
 protected:
  void WatchBoth() {
    for (uint32_t chunk = 0; chunk < 2; ++chunk) newcomer_.Watch(chunk, HeadOf(4));
  }

  static v1::Entry HeadOf(uint64_t round) {
    v1::Entry head;
    head.set_round(round);
    return head;
  }

  v1::StatePart PartOf(uint64_t id, uint64_t round, const std::string& state) const {
    v1::StatePart part;
    part.set_id(id);
    *part.mutable_donor() = EncodeMember(Other());
    part.set_round(round);
    for (int chunk = 0; chunk < 2; ++chunk) {
      part.add_chains(100 + static_cast<uint64_t>(chunk));
      part.add_halves(0);
    }
    v1::StatePart::ChunkRoster& roster = *part.add_rosters();
    roster.set_epoch(3);
    *roster.add_members() = EncodeMember(Other());
    part.set_payload_digest(Digest64(state));
    part.mutable_slice()->set_total_bytes(state.size());
    return part;
  }

  absl::Time now_ = absl::UnixEpoch();
  Newcomer newcomer_{Self(), 2, 2, 1000, kPatience};
};

TEST_F(NewcomerTest, AsksOnlyWhenItWatchesAllChunks) {
  newcomer_.Watch(0, HeadOf(4));
  EXPECT_EQ(newcomer_.NextAsk(now_), absl::nullopt);
  newcomer_.Watch(1, HeadOf(6));
  const absl::optional<Newcomer::Ask> ask = newcomer_.NextAsk(now_);
  ASSERT_TRUE(ask.has_value());
  EXPECT_EQ(ask->request.min_round(), 6u);
  EXPECT_EQ(newcomer_.NextAsk(now_), absl::nullopt);
}

TEST_F(NewcomerTest, OfAChunkWithoutHeadTheFirstResultTellsWhereItBegins) {
  ResultMaker maker(LayoutOfChunks(2), TestRun());
  newcomer_.Watch(0, absl::nullopt);
  newcomer_.Watch(1, absl::nullopt);
  newcomer_.Store(maker.Checked(maker.GenesisOf(0)));
  EXPECT_EQ(newcomer_.NextAsk(now_), absl::nullopt);
  newcomer_.Store(maker.Checked(maker.GenesisOf(1)));
  const absl::optional<Newcomer::Ask> ask = newcomer_.NextAsk(now_);
  ASSERT_TRUE(ask.has_value());
  EXPECT_EQ(ask->request.min_round() + 1, 0u);  // the initial state will do
}

TEST_F(NewcomerTest, TakesTheStateAndGivesTheResultsAfterIt) {
  ResultMaker maker(LayoutOfChunks(2), TestRun());
  std::vector<CheckedResult> results;
  for (uint32_t chunk = 0; chunk < 2; ++chunk) {
    newcomer_.Watch(chunk, absl::nullopt);
    newcomer_.Store(maker.Checked(maker.GenesisOf(chunk)));
    for (int round = 0; round < 3; ++round) {
      newcomer_.Store(maker.Checked(maker.NextOf(chunk, {DenseExchange{}})));
    }
  }
  const uint64_t id = newcomer_.NextAsk(now_)->request.id();
  EXPECT_THAT(newcomer_.Take(PartOf(id, 1, "state"), "state", now_), IsOk());
  ASSERT_TRUE(newcomer_.complete());
  const SharedState state = newcomer_.TakeState();
  EXPECT_EQ(state.round, 1u);
  EXPECT_EQ(state.chunks[1].chain, 101u);
  EXPECT_EQ(state.chunks[1].roster.epoch(), 3u);
  EXPECT_EQ(state.bytes->size(), 5u);
  const std::vector<CheckedResult> after = newcomer_.TakeResults();
  ASSERT_THAT(after, SizeIs(2));
  EXPECT_EQ(after[0].header.round(), 2u);
}

TEST_F(NewcomerTest, ADonorThatGivesNothingIsFollowedByAnotherAfterAPause) {
  WatchBoth();
  const uint64_t id = newcomer_.NextAsk(now_)->request.id();
  v1::StatePart nothing;
  nothing.set_id(id);
  EXPECT_THAT(newcomer_.Take(nothing, "", now_), IsOk());
  EXPECT_EQ(newcomer_.NextAsk(now_), absl::nullopt);
  now_ = newcomer_.next_ask_at();
  const absl::optional<Newcomer::Ask> ask = newcomer_.NextAsk(now_);
  ASSERT_TRUE(ask.has_value());
  EXPECT_NE(ask->request.id(), id);
  // What still comes from the first one is passed over.
  EXPECT_THAT(newcomer_.Take(PartOf(id, 9, "state"), "state", now_), IsOk());
  EXPECT_FALSE(newcomer_.complete());
}

TEST_F(NewcomerTest, ASilentDonorIsGivenUpAndItsPartsAreNotMixedWithTheNextOnes) {
  WatchBoth();
  const uint64_t first = newcomer_.NextAsk(now_)->request.id();
  EXPECT_THAT(newcomer_.Take(PartOf(first, 4, "state"), "st", now_), IsOk());
  now_ += kPatience;
  EXPECT_EQ(newcomer_.next_ask_at(), now_);
  const absl::optional<Newcomer::Ask> ask = newcomer_.NextAsk(now_);
  ASSERT_TRUE(ask.has_value());
  EXPECT_NE(ask->request.id(), first);
  EXPECT_EQ(ask->request.received_bytes(), 0u);
  EXPECT_THAT(newcomer_.Take(PartOf(ask->request.id(), 5, "other"), "other", now_), IsOk());
  ASSERT_TRUE(newcomer_.complete());
  EXPECT_EQ(newcomer_.TakeState().round, 5u);
}

TEST_F(NewcomerTest, WithALostStreamItBeginsAnew) {
  WatchBoth();
  const uint64_t first = newcomer_.NextAsk(now_)->request.id();
  newcomer_.Unwatch(1, now_);
  EXPECT_EQ(newcomer_.NextAsk(now_), absl::nullopt);
  EXPECT_THAT(newcomer_.Take(PartOf(first, 9, "state"), "state", now_), IsOk());
  EXPECT_FALSE(newcomer_.complete());
  newcomer_.Watch(1, HeadOf(8));
  EXPECT_EQ(newcomer_.NextAsk(now_)->request.min_round(), 8u);
}

TEST_F(NewcomerTest, RefusesPartsThatBreakARule) {
  const struct {
    const char* label;
    void (*spoil)(v1::StatePart& part);
    const char* names;
  } cases[] = {
      {"too early", [](v1::StatePart& part) { part.set_round(3); }, ".round` = 3"},
      {"a chain is missing", [](v1::StatePart& part) { part.mutable_chains()->RemoveLast(); },
       ".chains` has 1"},
      {"no roster", [](v1::StatePart& part) { part.clear_rosters(); }, ".rosters`"},
      {"a roster of no chunk", [](v1::StatePart& part) { part.mutable_rosters(0)->set_chunk(2); },
       ".rosters[0]` of chunk 2"},
      {"a member without incarnation",
       [](v1::StatePart& part) { part.mutable_rosters(0)->mutable_members(0)->set_incarnation(0); },
       "incarnation"},
      {"too large", [](v1::StatePart& part) { part.mutable_slice()->set_total_bytes(1001); },
       "total_bytes"},
      {"another digest", [](v1::StatePart& part) { part.set_payload_digest(1); },
       "payload_digest` = 1"},
  };
  for (const auto& broken : cases) {
    Newcomer newcomer(Self(), 2, 2, 1000, kPatience);
    for (uint32_t chunk = 0; chunk < 2; ++chunk) newcomer.Watch(chunk, HeadOf(4));
    v1::StatePart part = PartOf(newcomer.NextAsk(now_)->request.id(), 4, "state");
    broken.spoil(part);
    EXPECT_THAT(newcomer.Take(part, "state", now_),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(broken.names)))
        << broken.label;
    EXPECT_FALSE(newcomer.complete());
  }
}

}  // namespace
}  // namespace tally
