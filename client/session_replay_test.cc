// What a session gives back to an aggregator that has lost a run's history.
#include <string>
#include <vector>

#include "base/digest.h"
#include "client/session.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/session_driver.h"
#include "tests/util/status_matchers.h"
#include "tests/util/worker_run.h"

namespace tally {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A run of one aggregator and two chunks, of which chunk 0 is exchanged as signs; three rounds are
// over.
class SessionReplayTest : public testing::Test {
 protected:
  SessionReplayTest() : driver_(OptionsOf(1, 2)) {
    driver_.Start();
    for (int round = 0; round < 3; ++round) {
      EXPECT_THAT(driver_.StartRound(), IsOk());
      for (const uint32_t chunk : {0u, 1u}) {
        EXPECT_THAT(driver_.Contribute(chunk), IsOk());
        driver_.Close(chunk);
      }
    }
    driver_.Take();
  }

  // The messages that answer a need.
  std::vector<v1::ClientMessage> Ask(v1::Need::Kind kind, uint32_t chunk, uint64_t first,
                                     uint64_t last) {
    v1::Need need;
    need.set_kind(kind);
    need.set_chunk(chunk);
    need.mutable_rounds()->set_first(first);
    need.mutable_rounds()->set_last(last);
    driver_.session().OnNeed(0, need, driver_.now());
    std::vector<v1::ClientMessage> messages;
    for (SessionAction& action : driver_.session().TakeActions()) {
      if (auto* const send = absl::get_if<SendMessage>(&action)) messages.push_back(send->message);
    }
    return messages;
  }

  v1::ResidualSnapshot SnapshotAfter(uint64_t round, uint64_t chain) const {
    v1::ResidualSnapshot snapshot;
    snapshot.set_chunk(0);
    snapshot.set_round(round);
    snapshot.set_chain(chain);
    return snapshot;
  }

  SessionDriver driver_;
};

TEST_F(SessionReplayTest, HelloSaysWhatItHolds) {
  driver_.Lose(0);
  driver_.Advance(absl::Milliseconds(50));
  driver_.Take();
  const v1::Hello& hello = driver_.hello();
  ASSERT_EQ(hello.chunks_size(), 2);
  const v1::ChunkProgress& signs = hello.chunks(0);
  EXPECT_EQ(signs.head().round(), 2u);
  EXPECT_EQ(signs.results().first(), 1u);
  EXPECT_EQ(signs.results().last(), 2u);
  EXPECT_EQ(signs.contributions().first(), 0u);
  EXPECT_EQ(signs.contributions().last(), 2u);
  ASSERT_EQ(signs.snapshots_size(), 1);
  EXPECT_TRUE(signs.snapshots(0).is_zero());
  EXPECT_FALSE(hello.chunks(1).has_contributions()) << "dense exchanges leave no residual";
  ASSERT_EQ(hello.rosters_size(), 1) << "chunks share their rosters";
  EXPECT_EQ(hello.rosters(0).epoch(), 1u);
}

TEST_F(SessionReplayTest, ReplaysResultsHeadersAndContributions) {
  const auto results = Ask(v1::Need::KIND_RESULT, 0, 2, 2);
  ASSERT_THAT(results, SizeIs(1));
  EXPECT_EQ(ChainOf(results[0].replay().result().header()), results[0].replay().chain());
  const auto headers = Ask(v1::Need::KIND_HEADER, 0, ~uint64_t{0}, 2);
  ASSERT_THAT(headers, SizeIs(4)) << "the genesis and three rounds";
  EXPECT_EQ(ChainOf(headers[3].replay().header()), results[0].replay().chain());
  const auto contributions = Ask(v1::Need::KIND_CONTRIBUTION, 0, 0, 1);
  ASSERT_THAT(contributions, SizeIs(2));
  EXPECT_EQ(contributions[1].replay().contribution().round(), 1u);
  EXPECT_EQ(contributions[1].replay().chain(), headers[2].replay().chain());
  EXPECT_THAT(Ask(v1::Need::KIND_SNAPSHOT, 0, 0, 2), IsEmpty());
}

TEST_F(SessionReplayTest, ReplaysTheContributionWhoseResultItLacks) {
  ASSERT_THAT(driver_.StartRound(), IsOk());
  ASSERT_THAT(driver_.Contribute(0), IsOk());
  driver_.Take();
  const auto contributions = Ask(v1::Need::KIND_CONTRIBUTION, 0, 3, 3);
  ASSERT_THAT(contributions, SizeIs(1));
  EXPECT_EQ(contributions[0].replay().contribution().round(), 3u);
  EXPECT_EQ(contributions[0].replay().chain(), 0u);
}

TEST_F(SessionReplayTest, KeepsASnapshotAndGivesItBack) {
  const uint64_t chain = Ask(v1::Need::KIND_HEADER, 0, 1, 1)[0].replay().chain();
  const auto payload = std::make_shared<const Buffer>(256 * sizeof(float));
  driver_.session().OnSnapshot(0, SnapshotAfter(1, chain), payload, driver_.now());
  const SessionActions actions = driver_.session().TakeActions();
  ASSERT_THAT(actions, SizeIs(1));
  const auto& ack = absl::get<SendMessage>(actions[0]).message.residual_snapshot_ack();
  EXPECT_EQ(ack.round(), 1u);
  EXPECT_EQ(ack.chain(), chain);
  const auto returned = Ask(v1::Need::KIND_SNAPSHOT, 0, 1, 1);
  ASSERT_THAT(returned, SizeIs(1));
  EXPECT_EQ(returned[0].residual_snapshot().chain(), chain);
}

TEST_F(SessionReplayTest, SaysNothingAboutASnapshotOfAnotherHistory) {
  driver_.session().OnSnapshot(0, SnapshotAfter(1, 12345), nullptr, driver_.now());
  EXPECT_THAT(driver_.session().TakeActions(), IsEmpty());
  EXPECT_THAT(driver_.session().failure(), IsOk());
}

TEST_F(SessionReplayTest, ANeedThatBreaksARuleEndsTheSession) {
  Ask(v1::Need::KIND_HEADER, 2, 0, 0);
  EXPECT_THAT(driver_.session().failure(),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("`need.chunk` = 2, must be a chunk that `agg-0` holds")));
}

TEST_F(SessionReplayTest, ANeedOfAnUnknownKindEndsTheSession) {
  Ask(v1::Need::KIND_UNSPECIFIED, 0, 0, 0);
  EXPECT_THAT(driver_.session().failure(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("`need.kind` = 0")));
}

}  // namespace
}  // namespace tally
