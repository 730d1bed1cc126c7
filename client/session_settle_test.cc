// How a session ends whose worker was evicted, and may come again.
#include <vector>

#include "client/undone_contribution.h"
#include "codecs/place.h"
#include "codecs/roster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/session_driver.h"
#include "tests/util/status_matchers.h"
#include "tests/util/worker_run.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

ClientOptions ElasticOptions() {
  ClientOptions options = OptionsOf(2, 4);
  options.elastic = true;
  return options;
}

// Two aggregators with two chunks each; round 0 is over, round 1 is open.
class SessionSettleTest : public testing::Test {
 protected:
  SessionSettleTest() {
    driver_.Start();
    EXPECT_THAT(driver_.StartRound(), IsOk());
    for (uint32_t chunk = 0; chunk < 4; ++chunk) {
      EXPECT_THAT(driver_.Contribute(chunk), IsOk());
      driver_.Close(chunk);
    }
    EXPECT_THAT(driver_.StartRound(), IsOk());
    driver_.Take();
  }

  // The aggregator holds this incarnation for dead, and tells for its chunks what it counts last.
  // Of `undone` ones it has another newest entry than this worker.
  void Fence(size_t aggregator, const std::vector<uint64_t>& last_rounds,
             const std::vector<uint32_t>& undone = {}, uint64_t dead = Self().incarnation) {
    v1::Welcome welcome;
    welcome.set_verdict(v1::Welcome::VERDICT_FENCED);
    *welcome.mutable_fence() = EncodeMember({Self().worker, dead});
    for (size_t i = 0; i < last_rounds.size(); ++i) {
      v1::Welcome::ChunkState& state = *welcome.add_chunks();
      state.set_chunk(static_cast<uint32_t>(aggregator + 2 * i));
      state.mutable_last_counted()->set_round(last_rounds[i]);
    }
    for (const uint32_t chunk : undone) {
      v1::Welcome::ChunkState& state = *welcome.add_chunks();
      state.set_chunk(chunk);
      state.mutable_head()->set_chain(0xbad);
    }
    driver_.session().OnWelcome(aggregator, welcome, driver_.now());
    driver_.Lose(aggregator, absl::FailedPreconditionError("was evicted"));
  }

  SessionDriver driver_{ElasticOptions()};
};

TEST_F(SessionSettleTest, WhatWasSentCountsWhereItIsCounted) {
  for (uint32_t chunk = 0; chunk < 4; ++chunk) ASSERT_THAT(driver_.Contribute(chunk), IsOk());
  driver_.Take();
  Fence(0, {1, 0});
  EXPECT_THAT(driver_.Take(),
              ElementsAre("heartbeat 0", "heartbeat 1", "result 0 counted", "result 2 missed"));
  EXPECT_EQ(driver_.heartbeat().fences(0).incarnation(), Self().incarnation)
      << "so the other one learns of it";
  EXPECT_FALSE(driver_.session().settled());
  Fence(1, {0, 1});
  EXPECT_THAT(driver_.Take(), ElementsAre("result 1 missed", "result 3 counted"));
  EXPECT_TRUE(driver_.session().settled());
  EXPECT_EQ(driver_.session().counters().unsettled_contributions, 0u);
  EXPECT_THAT(driver_.StartRound(),
              StatusIs(absl::StatusCode::kAborted,
                       AllOf(HasSubstr("worker `w-1`/11 was evicted"), HasSubstr("come anew"))));
}

// The aggregators were killed after this worker alone had read results of round 0.
TEST_F(SessionSettleTest, WhatIsCountedAfterTheLastExchangeThatCountsIsUndone) {
  for (uint32_t chunk = 0; chunk < 4; ++chunk) {
    ASSERT_THAT(driver_.Contribute(chunk), IsOk());
    driver_.Close(chunk);
  }
  ASSERT_THAT(driver_.StartRound(), IsOk());
  driver_.Take();
  // Of chunk 0 it counts round 1, of chunk 2 nothing later than round 0.
  Fence(0, {1, 0});
  const std::vector<UndoneContribution> undone = driver_.session().TakeUndone();
  ASSERT_THAT(undone, SizeIs(1));
  EXPECT_EQ(undone[0].chunk, 2u);
  EXPECT_EQ(undone[0].place, (Place{1, 0}));
  EXPECT_EQ(undone[0].exchange, driver_.ExchangeOf(2));
  EXPECT_NE(undone[0].payload, nullptr);
  EXPECT_NE(undone[0].mean_before, nullptr) << "round 0 exchanged signs too";
  EXPECT_THAT(driver_.session().TakeUndone(), IsEmpty());
  EXPECT_EQ(driver_.session().counters().undone_contributions, 1u);
}

TEST_F(SessionSettleTest, OfMoreThanOneTheNewestIsPutBackAndAllAreCounted) {
  for (uint32_t chunk = 0; chunk < 4; ++chunk) {
    ASSERT_THAT(driver_.Contribute(chunk), IsOk());
    driver_.Close(chunk);
  }
  Fence(0, {});
  v1::Welcome welcome;
  welcome.set_verdict(v1::Welcome::VERDICT_FENCED);
  *welcome.mutable_fence() = EncodeMember(Self());
  v1::Welcome::ChunkState& state = *welcome.add_chunks();
  state.set_chunk(1);
  // The genesis: nothing of it counts.
  state.mutable_last_counted()->set_round(~uint64_t{0});
  driver_.session().OnWelcome(1, welcome, driver_.now());
  const std::vector<UndoneContribution> undone = driver_.session().TakeUndone();
  ASSERT_THAT(undone, SizeIs(2));
  EXPECT_EQ(undone[0].place, (Place{0, 0}));
  EXPECT_EQ(undone[0].payload, nullptr);
  EXPECT_EQ(undone[1].place, (Place{1, 0}));
}

TEST_F(SessionSettleTest, WhereNothingIsKnownAnotherHistoryUndoesTheNewestEntry) {
  for (const uint32_t chunk : {0u, 2u}) ASSERT_THAT(driver_.Contribute(chunk), IsOk());
  driver_.Take();
  Fence(0, {}, {2});
  EXPECT_THAT(driver_.Take(),
              ElementsAre("heartbeat 0", "heartbeat 1", "result 2 missed", "result 0 counted"))
      << "what builds on it counts nowhere; of the other nobody tells";
  Fence(1, {}, {1, 3});
  EXPECT_EQ(driver_.session().counters().undone_contributions, 3u);
  const std::vector<UndoneContribution> undone = driver_.session().TakeUndone();
  ASSERT_THAT(undone, SizeIs(3));
  EXPECT_EQ(undone[0].place, (Place{0, 0}));
  EXPECT_EQ(undone[0].mean_before, nullptr) << "it was the first";
}

TEST_F(SessionSettleTest, WhatIsPutInAfterwardsIsMissed) {
  ASSERT_THAT(driver_.Contribute(0), IsOk());
  Fence(0, {0, 0});
  driver_.Take();
  for (const uint32_t chunk : {1u, 2u, 3u}) ASSERT_THAT(driver_.Contribute(chunk), IsOk());
  EXPECT_THAT(driver_.Take(), ElementsAre("result 1 missed", "result 2 missed", "result 3 missed"));
  EXPECT_EQ(driver_.session().missing_results(), 0u);
}

TEST_F(SessionSettleTest, WhatNobodyTellsOfCountsAndIsReported) {
  for (uint32_t chunk = 0; chunk < 4; ++chunk) ASSERT_THAT(driver_.Contribute(chunk), IsOk());
  driver_.Take();
  Fence(0, {});
  EXPECT_THAT(driver_.Take(), Contains("result 0 counted"));
  EXPECT_EQ(driver_.session().counters().unsettled_contributions, 2u);
  driver_.Advance(absl::Seconds(11));
  EXPECT_THAT(driver_.Take(), Contains("result 3 counted")) << "the other aggregator is away";
  EXPECT_EQ(driver_.session().counters().unsettled_contributions, 4u);
  EXPECT_TRUE(driver_.session().settled());
}

TEST_F(SessionSettleTest, WhatWasNeverSentDoesNotCount) {
  driver_.Lose(0);
  for (const uint32_t chunk : {0u, 2u}) ASSERT_THAT(driver_.Contribute(chunk), IsOk());
  driver_.Take();
  Fence(1, {});
  EXPECT_THAT(driver_.Take(), ElementsAre("heartbeat 1", "result 0 missed", "result 2 missed"));
  EXPECT_EQ(driver_.session().counters().unsettled_contributions, 0u);
}

TEST_F(SessionSettleTest, AHeaderThatNamesItSettlesItsChunk) {
  ASSERT_THAT(driver_.Contribute(0), IsOk());
  ASSERT_THAT(driver_.Contribute(2), IsOk());
  driver_.Take();
  v1::ResultHeader header = driver_.results().NextOf(0, driver_.ExchangeOf(0));
  *header.add_evicted() = EncodeMember(Self());
  *header.add_roster() = EncodeMember(Other());
  header.set_epoch(2);
  driver_.Result(header);
  EXPECT_THAT(driver_.Take(), ElementsAre("result 0 counted", "heartbeat 0", "heartbeat 1"));
  Fence(0, {1, 0});
  EXPECT_THAT(driver_.Take(), ElementsAre("result 2 missed"));
}

TEST_F(SessionSettleTest, AnAggregatorThatDoesNotKnowItYetIsSentNothing) {
  ASSERT_THAT(driver_.Contribute(1), IsOk());
  driver_.Lose(1);
  Fence(0, {0, 0});
  driver_.Take();
  driver_.Advance(absl::Seconds(1));
  EXPECT_THAT(driver_.Take(), ElementsAre("open 1", "hello 1"));
  EXPECT_EQ(driver_.hello().fences(0).worker(), "w-1");
  driver_.Welcome(1);
  EXPECT_THAT(driver_.Take(), IsEmpty());
  Fence(1, {1, 0});
  EXPECT_THAT(driver_.Take(), ElementsAre("result 1 counted"));
}

TEST_F(SessionSettleTest, WhoHasASuccessorDoesNotComeAgain) {
  Fence(0, {0, 0}, {}, /*dead=*/12);
  EXPECT_THAT(driver_.session().failure(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                    HasSubstr("a newer process of it, 12")));
}

TEST(SessionRigidTest, WhoMayNotComeAgainEndsWithTheAggregatorsWords) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Start();
  v1::Welcome welcome;
  welcome.set_verdict(v1::Welcome::VERDICT_FENCED);
  driver.session().OnWelcome(0, welcome, driver.now());
  EXPECT_THAT(driver.session().failure(), IsOk());
  driver.Lose(0, absl::FailedPreconditionError("worker `w-1` was evicted: silent for 30 s"));
  EXPECT_THAT(driver.session().failure(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("silent for 30 s")));
}

}  // namespace
}  // namespace tally
