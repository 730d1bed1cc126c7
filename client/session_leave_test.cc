// How a session takes leave, hands over and inherits.
#include <memory>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "base/buffer.h"
#include "client/bequest.h"
#include "client/session.h"
#include "codecs/roster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/session_driver.h"
#include "tests/util/status_matchers.h"
#include "tests/util/worker_run.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(SessionLeaveTest, LeaveTellsEveryAggregatorAndEndsWithTheLastStream) {
  SessionDriver driver(OptionsOf(2, 2));
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  for (const uint32_t chunk : {0u, 1u}) {
    ASSERT_THAT(driver.Contribute(chunk), IsOk());
    driver.Close(chunk);
  }
  driver.Take();
  ASSERT_THAT(driver.session().Leave({}, driver.now()), IsOk());
  EXPECT_THAT(driver.Take(), ElementsAre("leave 0", "leave 1"));
  EXPECT_EQ(driver.leave().last_round(), 0u);
  driver.Lose(0, absl::OkStatus());
  EXPECT_THAT(driver.Take(), IsEmpty());
  driver.Lose(1, absl::OkStatus());
  EXPECT_THAT(driver.Take(), ElementsAre("left"));
  EXPECT_THAT(driver.StartRound(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("has left the run")));
}

TEST(SessionLeaveTest, TellsTheOthersWhereItHasBeenLetGo) {
  SessionDriver driver(OptionsOf(3, 3));
  driver.Start();
  ASSERT_THAT(driver.session().Leave({}, driver.now()), IsOk());
  driver.Lose(0, absl::OkStatus());
  driver.Lose(1, absl::UnavailableError("connection reset"));
  driver.Take();
  driver.Advance(absl::Seconds(1));
  driver.Take();
  const auto& links = driver.heartbeat().links().links();
  ASSERT_EQ(links.size(), 3);
  EXPECT_FALSE(links[0].up());
  EXPECT_TRUE(links[0].let_go());
  EXPECT_FALSE(links[1].up());
  EXPECT_FALSE(links[1].let_go()) << "it must come again there";
  EXPECT_TRUE(links[2].up());
  EXPECT_FALSE(links[2].let_go());
}

TEST(SessionLeaveTest, LeaveSaysSoAgainOnANewStream) {
  SessionDriver driver(OptionsOf(2, 2));
  driver.Start();
  driver.Lose(0);
  driver.Advance(absl::Milliseconds(50));
  driver.Lose(1);
  driver.Take();
  ASSERT_THAT(driver.session().Leave({}, driver.now()), IsOk());
  EXPECT_THAT(driver.Take(), IsEmpty());
  driver.Welcome(0);
  EXPECT_THAT(driver.Take(), ElementsAre("leave 0"));
  driver.Lose(0, absl::OkStatus());
  driver.Advance(absl::Milliseconds(50));
  EXPECT_THAT(driver.Take(), ElementsAre("open 1", "hello 1"));
  EXPECT_EQ(driver.hello().intent(), v1::INTENT_LEAVING) << "where the run is over it is let go";
  driver.Welcome(1);
  driver.Lose(1, absl::OkStatus());
  EXPECT_THAT(driver.Take(), ElementsAre("leave 1", "left"));
}

// --- Hand-over ---

// Two aggregators, one chunk each; the first round is over.
class SessionHandoverTest : public testing::Test {
 protected:
  SessionHandoverTest() {
    driver_.Start();
    EXPECT_THAT(driver_.StartRound(), IsOk());
    for (const uint32_t chunk : {0u, 1u}) {
      EXPECT_THAT(driver_.Contribute(chunk), IsOk());
      driver_.Close(chunk);
    }
    driver_.Take();
  }

  // This worker's residual: ones in chunk 0, zeros in chunk 1.
  std::vector<float> Residual() const {
    std::vector<float> residual(OptionsOf(2, 2).layout->num_elements());
    std::fill_n(residual.begin(), 256, 1.0f);
    return residual;
  }
  // The round without the leaver, which names `heir`.
  v1::ResultHeader Farewell(uint32_t chunk, const MemberId& leaver, const MemberId& heir) {
    v1::ResultHeader header = driver_.results().NextOf(chunk, driver_.ExchangeOf(chunk), {heir});
    v1::Departure& left = *header.add_left();
    *left.mutable_member() = EncodeMember(leaver);
    left.set_heir(heir.worker);
    *header.add_roster() = EncodeMember(heir);
    header.set_epoch(header.epoch() + 1);
    return header;
  }
  void Acknowledge(uint32_t chunk) {
    v1::HandoverAck ack;
    ack.set_chunk(chunk);
    *ack.mutable_leaver() = EncodeMember(Self());
    driver_.session().OnHandoverAck(chunk % 2, ack, driver_.now());
  }

  SessionDriver driver_{OptionsOf(2, 2)};
};

TEST_F(SessionHandoverTest, TheResidualGoesToTheHeirThatTheHeaderNames) {
  ASSERT_THAT(driver_.session().Leave(Residual(), driver_.now()), IsOk());
  EXPECT_THAT(driver_.Take(), ElementsAre("leave 0", "leave 1"));
  EXPECT_FALSE(driver_.leave().has_deadline()) << "there is nothing of chunk 1";
  EXPECT_EQ(driver_.session().WaitingFor(driver_.now()),
            "leaving `agg-0`: chunk 0: waiting for the round that names who inherits it; "
            "leaving `agg-1`: others may still need what this worker holds");
  driver_.Result(Farewell(0, Self(), Other()));
  EXPECT_THAT(driver_.session().WaitingFor(driver_.now()),
              HasSubstr("chunk 0: waiting for worker `w-2` to take what is left over"));
  EXPECT_THAT(driver_.Take(), ElementsAre("hand chunk 0 to w-2 by 0"));
  EXPECT_EQ(driver_.handover().leaver().worker(), "w-1");
  Acknowledge(0);
  EXPECT_THAT(driver_.Take(), ElementsAre("leave 0")) << "for good";
  EXPECT_EQ(driver_.session().bequest()->handed_over_norm(), 16);
  EXPECT_EQ(driver_.session().bequest()->discarded_norm(), 0);
  for (const size_t a : {0u, 1u}) driver_.Lose(a, absl::OkStatus());
  EXPECT_THAT(driver_.Take(), ElementsAre("left"));
}

TEST_F(SessionHandoverTest, WhatIsNotTakenIsGivenAgainAndOverANewStreamAtOnce) {
  ASSERT_THAT(driver_.session().Leave(Residual(), driver_.now()), IsOk());
  driver_.Result(Farewell(0, Self(), Other()));
  driver_.Take();
  const std::vector<std::string> lines = [&] {
    driver_.Advance(absl::Seconds(6));
    return driver_.Take();
  }();
  EXPECT_THAT(lines, testing::Contains("hand chunk 0 to w-2 by 0"));
  driver_.Lose(0);
  driver_.Advance(absl::Seconds(1));
  driver_.Take();
  EXPECT_EQ(driver_.hello().intent(), v1::INTENT_LEAVING);
  driver_.WelcomeAsObserver(0, 3);
  EXPECT_THAT(driver_.Take(), ElementsAre("leave 0", "hand chunk 0 to w-2 by 0"));
  EXPECT_TRUE(driver_.leave().has_deadline());
}

TEST_F(SessionHandoverTest, WhatNobodyTakesInTimeIsLostAndCounted) {
  ASSERT_THAT(driver_.session().Leave(Residual(), driver_.now()), IsOk());
  driver_.Take();
  driver_.Advance(absl::Seconds(61));
  EXPECT_THAT(driver_.Take(), testing::Contains("leave 0"));
  EXPECT_FALSE(driver_.leave().has_deadline());
  EXPECT_EQ(driver_.session().bequest()->handed_over_norm(), 0);
  EXPECT_EQ(driver_.session().bequest()->discarded_norm(), 16);
  EXPECT_THAT(driver_.session().failure(), IsOk());
}

TEST_F(SessionHandoverTest, ALeaverThatIsHeldForDeadEndsAndCountsWhatIsLost) {
  ASSERT_THAT(driver_.session().Leave(Residual(), driver_.now()), IsOk());
  driver_.Take();
  v1::Welcome welcome;
  welcome.set_verdict(v1::Welcome::VERDICT_FENCED);
  for (const size_t a : {0u, 1u}) driver_.session().OnWelcome(a, welcome, driver_.now());
  EXPECT_THAT(driver_.Take(), ElementsAre("left"));
  EXPECT_EQ(driver_.session().bequest()->discarded_norm(), 16);
}

// It alone had read its last result when the aggregator was killed, and the others have another.
TEST_F(SessionHandoverTest, ALeaverWhoseLastResultWasUndoneIsTold) {
  ASSERT_THAT(driver_.session().Leave(Residual(), driver_.now()), IsOk());
  v1::Welcome welcome;
  welcome.set_verdict(v1::Welcome::VERDICT_FENCED);
  v1::Welcome::ChunkState& state = *welcome.add_chunks();
  state.set_chunk(1);
  state.mutable_head()->set_chain(0xbad);
  driver_.session().OnWelcome(1, welcome, driver_.now());
  EXPECT_THAT(driver_.session().failure(),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("chunk 1: a crash undid round 0"), HasSubstr("evicted"))));
}

TEST_F(SessionHandoverTest, AnAggregatorThatEndsTheStreamEndsTheHandOver) {
  ASSERT_THAT(driver_.session().Leave(Residual(), driver_.now()), IsOk());
  for (const size_t a : {0u, 1u}) driver_.Lose(a, absl::OkStatus());
  EXPECT_THAT(driver_.Take(), ElementsAre("leave 0", "leave 1", "left"));
  EXPECT_EQ(driver_.session().bequest()->discarded_norm(), 16);
}

TEST_F(SessionHandoverTest, AnHeirTakesWhatAHeaderHasPromisedOnce) {
  v1::Handover handover;
  *handover.mutable_leaver() = EncodeMember(Other());
  const auto give = [&] {
    driver_.session().OnHandover(0, handover, std::make_shared<const Buffer>(1024), driver_.now());
    return driver_.Take();
  };
  EXPECT_THAT(driver_.session().TakeInheritances(), IsEmpty());
  EXPECT_THAT(give(), IsEmpty()) << "no header has promised it";
  const v1::ResultHeader header = Farewell(0, Other(), Self());
  driver_.Result(header);
  driver_.Take();
  EXPECT_THAT(give(), IsEmpty()) << "after another entry";
  handover.set_after_chain(
      driver_.results().NextOf(0, driver_.ExchangeOf(0), {Self()}).prev_chain());
  EXPECT_THAT(give(), ElementsAre("take chunk 0 of w-2"));
  EXPECT_THAT(give(), ElementsAre("take chunk 0 of w-2")) << "its word may have been lost";
  EXPECT_THAT(driver_.session().TakeInheritances(),
              ElementsAre(Field(&Inheritance::leaver, "w-2")));
  EXPECT_THAT(driver_.session().TakeInheritances(), IsEmpty());
}

TEST_F(SessionHandoverTest, ATrainerThatNeverAsksIsGivenNothing) {
  driver_.Result(Farewell(0, Other(), Self()));
  driver_.Take();
  v1::Handover handover;
  *handover.mutable_leaver() = EncodeMember(Other());
  handover.set_after_chain(
      driver_.results().NextOf(0, driver_.ExchangeOf(0), {Self()}).prev_chain());
  driver_.session().OnHandover(0, handover, std::make_shared<const Buffer>(1024), driver_.now());
  EXPECT_THAT(driver_.Take(), IsEmpty());
}

}  // namespace
}  // namespace tally
