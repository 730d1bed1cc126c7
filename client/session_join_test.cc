// A session that comes into a run that goes on, and one that helps others to.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/digest.h"
#include "client/session.h"
#include "codecs/roster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/session_driver.h"
#include "tests/util/status_matchers.h"
#include "tests/util/worker_run.h"

namespace tally {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ClientOptions NewcomerOptions() {
  ClientOptions options = OptionsOf(1, 2);
  options.elastic = true;
  options.entry = RunEntry::kJoin;
  return options;
}

// w-1 comes into the run of w-2: one aggregator, two chunks.
class SessionJoinTest : public testing::Test {
 protected:
  SessionJoinTest() : driver_(NewcomerOptions()) { driver_.Tick(); }

  // The next entry of both chunks, in which w-2 takes part.
  void PlayRound() {
    for (const uint32_t chunk : {0u, 1u}) {
      v1::ResultHeader header =
          driver_.results().NextOf(chunk, driver_.ExchangeOf(chunk), {Other()});
      if (activates_) {
        *header.add_activated() = EncodeMember(Self());
        EXPECT_THAT(Roster::Create(1, {Other()})->Complete(header), IsOk());
      }
      chains_[chunk] = ChainOf(header.SerializeAsString());
      driver_.Result(header);
    }
    activates_ = false;
  }
  void Begin() {
    driver_.WelcomeAsObserver(0);
    for (const uint32_t chunk : {0u, 1u}) {
      driver_.Result(driver_.results().GenesisOf(chunk, {Other()}));
    }
  }
  // The state at the end of this round, of which the newest entries are.
  void GiveState(uint64_t round) {
    v1::StatePart part;
    part.set_id(driver_.state_request().id());
    *part.mutable_donor() = EncodeMember(Other());
    part.set_round(round);
    for (const uint32_t chunk : {0u, 1u}) {
      part.add_chains(chains_[chunk]);
      part.add_halves(0);
    }
    v1::StatePart::ChunkRoster& roster = *part.add_rosters();
    roster.set_epoch(1);
    *roster.add_members() = EncodeMember(Other());
    part.set_payload_digest(Digest64(absl::string_view("state")));
    part.mutable_slice()->set_total_bytes(5);
    driver_.session().OnStatePart(0, part, "state", driver_.now());
  }

  SessionDriver driver_;
  uint64_t chains_[2] = {0, 0};
  bool activates_ = false;
};

TEST_F(SessionJoinTest, WatchesAsksFollowsAndTakesPart) {
  EXPECT_THAT(driver_.Take(), ElementsAre("open 0", "hello 0"));
  EXPECT_EQ(driver_.hello().intent(), v1::INTENT_OBSERVER);
  Begin();
  EXPECT_THAT(driver_.Take(), ElementsAre("ask 0"));
  PlayRound();
  GiveState(0);
  EXPECT_THAT(driver_.Take(), Contains("started"));
  ASSERT_TRUE(driver_.session().joined_state().has_value());
  EXPECT_EQ(driver_.session().next_round(), 1u);
  EXPECT_FALSE(driver_.session().takes_part());

  // It is level: it asks to be taken in, and plays on without being waited for.
  EXPECT_THAT(driver_.StartRound(), IsOk());
  EXPECT_THAT(driver_.Take(), ElementsAre("activate 3 at 0"));
  EXPECT_THAT(driver_.Contribute(0), IsOk());
  EXPECT_THAT(driver_.Abstain(1), IsOk());
  EXPECT_THAT(driver_.Take(), IsEmpty());
  EXPECT_TRUE(driver_.session().awaits_result());
  PlayRound();
  EXPECT_THAT(driver_.Take(), ElementsAre("result 0 missed", "result 1 missed"));
  EXPECT_EQ(driver_.session().counters().missed_contributions, 0u);

  EXPECT_THAT(driver_.StartRound(), IsOk());
  for (const uint32_t chunk : {0u, 1u}) EXPECT_THAT(driver_.Abstain(chunk), IsOk());
  activates_ = true;
  PlayRound();
  EXPECT_TRUE(driver_.session().takes_part());
  driver_.Take();
  EXPECT_THAT(driver_.StartRound(), IsOk());
  EXPECT_THAT(driver_.Contribute(0), IsOk());
  EXPECT_THAT(driver_.Take(), ElementsAre("send chunk 0 to 0"));
}

TEST_F(SessionJoinTest, ResultsThatCameMeanwhileAreThereAtOnce) {
  Begin();
  PlayRound();
  const std::vector<uint64_t> chains(chains_, chains_ + 2);
  PlayRound();
  PlayRound();
  chains_[0] = chains[0];
  chains_[1] = chains[1];
  driver_.Take();
  GiveState(0);
  EXPECT_THAT(driver_.StartRound(), IsOk());
  EXPECT_THAT(driver_.Take(), ElementsAre("started")) << "the others are further";
  // Each comes after the caller's turn.
  EXPECT_THAT(driver_.Contribute(1), IsOk());
  EXPECT_THAT(driver_.Take(), ElementsAre("result 1 missed"));
  EXPECT_THAT(driver_.Abstain(0), IsOk());
  EXPECT_THAT(driver_.Take(), ElementsAre("result 0 missed"));
  EXPECT_EQ(driver_.session().missing_results(), 0u);
}

TEST_F(SessionJoinTest, WhoseStateIsOfAnotherHistoryComesAnew) {
  Begin();
  PlayRound();
  const std::vector<uint64_t> chains(chains_, chains_ + 2);
  PlayRound();
  PlayRound();
  chains_[0] = chains[0];
  chains_[1] = chains[1] ^ 1;
  driver_.Take();
  GiveState(0);
  EXPECT_THAT(driver_.session().failure(), IsOk());
  EXPECT_TRUE(driver_.session().evicted());
  EXPECT_THAT(driver_.StartRound(),
              StatusIs(absl::StatusCode::kAborted,
                       HasSubstr("chunk 1: round 1 does not follow what this observer has read")));
}

TEST_F(SessionJoinTest, AfterALostStreamItBeginsAnew) {
  Begin();
  driver_.Take();
  driver_.Lose(0);
  driver_.Advance(absl::Seconds(1));
  EXPECT_THAT(driver_.Take(), ElementsAre("open 0", "hello 0"));
  EXPECT_EQ(driver_.hello().intent(), v1::INTENT_OBSERVER);
  driver_.WelcomeAsObserver(0, 5);
  EXPECT_THAT(driver_.Take(), ElementsAre("ask 0"));
  EXPECT_EQ(driver_.state_request().min_round(), 5u);
}

TEST_F(SessionJoinTest, WaitsNoLongerThanTheStartTimeoutForTheState) {
  Begin();
  EXPECT_THAT(driver_.session().WaitingFor(driver_.now()), HasSubstr("asked for the state"));
  driver_.Advance(absl::Minutes(6));
  EXPECT_THAT(driver_.session().failure(),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("asked for the state")));
}

TEST(SessionBeginsLateTest, AnElasticWorkerBecomesANewcomerAndAnotherOneFails) {
  for (const bool elastic : {true, false}) {
    ClientOptions options = OptionsOf(2, 2);
    options.elastic = elastic;
    SessionDriver driver(options);
    driver.Tick();
    driver.Welcome(1);
    driver.Take();
    driver.WelcomeAsObserver(0, 7);
    if (!elastic) {
      EXPECT_THAT(driver.session().failure(),
                  StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("`elastic`")));
      continue;
    }
    EXPECT_THAT(driver.Take(), ElementsAre("cut 0", "cut 1"));
    // What still comes on the old streams is of no concern.
    v1::Refusal refusal;
    refusal.set_code(static_cast<uint32_t>(absl::StatusCode::kFailedPrecondition));
    driver.session().OnRefusal(1, refusal);
    for (const size_t aggregator : {0, 1}) driver.Lose(aggregator);
    driver.Advance(absl::Seconds(1));
    EXPECT_THAT(driver.Take(), ElementsAre("open 0", "hello 0", "open 1", "hello 1"));
    EXPECT_EQ(driver.hello().intent(), v1::INTENT_OBSERVER);
    EXPECT_GT(driver.hello().member().incarnation(), Self().incarnation);
    EXPECT_THAT(driver.session().failure(), IsOk());
  }
}

TEST(SessionDonorTest, GivesTheStateBetweenTwoRounds) {
  ClientOptions options = OptionsOf(1, 2);
  options.elastic = true;
  SessionDriver driver(options);
  driver.Start();
  EXPECT_FALSE(driver.session().state_wanted());
  v1::StateRequest request;
  request.set_id(77);
  request.mutable_newcomer()->set_worker("w-9");
  request.set_min_round(0);
  driver.session().OnStateRequest(0, request, driver.now());
  EXPECT_FALSE(driver.session().state_wanted()) << "it must stand after round 0";
  EXPECT_THAT(driver.StartRound(), IsOk());
  for (const uint32_t chunk : {0u, 1u}) {
    EXPECT_THAT(driver.Contribute(chunk), IsOk());
    EXPECT_FALSE(driver.session().state_wanted());
    driver.Close(chunk);
  }
  EXPECT_TRUE(driver.session().state_wanted());
  driver.Take();
  Buffer state(5);
  std::memcpy(state.data(), "state", 5);
  EXPECT_THAT(
      driver.session().GiveState(std::make_shared<const Buffer>(std::move(state)), driver.now()),
      IsOk());
  EXPECT_THAT(driver.Take(), ElementsAre("give state to 0"));
  EXPECT_EQ(driver.state_part().id(), 77u);
  EXPECT_EQ(driver.state_part().round(), 0u);
  EXPECT_EQ(driver.state_part().chains_size(), 2);
  EXPECT_EQ(driver.state_part().rosters_size(), 1);
  EXPECT_FALSE(driver.session().state_wanted());
}

TEST(SessionDonorTest, WhoIsNotElasticGivesNothingAndSaysSo) {
  SessionDriver driver(OptionsOf(1, 2));
  driver.Start();
  v1::StateRequest request;
  request.set_id(77);
  driver.session().OnStateRequest(0, request, driver.now());
  EXPECT_THAT(driver.Take(), ElementsAre("give  to 0"));
  EXPECT_FALSE(driver.state_part().has_slice());
}

}  // namespace
}  // namespace tally
