// A session that saves its run, and one that resumes it.
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/session.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/session_driver.h"
#include "tests/util/status_matchers.h"
#include "tests/util/worker_run.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// One aggregator and two chunks, of which chunk 0 is exchanged as signs.
class SessionSaveTest : public testing::Test {
 protected:
  SessionSaveTest() : driver_(OptionsOf(1, 2)) { driver_.Start(); }

  void PlayRound() {
    EXPECT_THAT(driver_.StartRound(), IsOk());
    for (const uint32_t chunk : {0u, 1u}) EXPECT_THAT(driver_.Contribute(chunk), IsOk());
  }
  // Closes the chunk's round with a header that allows saving.
  void CloseSaved(uint32_t chunk, bool snapshot) {
    v1::ResultHeader header = driver_.results().NextOf(chunk, driver_.ExchangeOf(chunk));
    header.set_save(true);
    header.set_snapshot(snapshot);
    if (snapshot) header.set_residual_norm(2.5);
    driver_.Result(header);
  }
  // Plays rounds until the snapshot of chunk 0 falls to this worker, or to the other.
  void SaveUntilCustodian(bool self) {
    for (int round = 0; round < 20; ++round) {
      driver_.session().SaveNextRound();
      PlayRound();
      CloseSaved(0, /*snapshot=*/true);
      CloseSaved(1, /*snapshot=*/false);
      if (driver_.session().AwaitedSnapshot().has_value() == self) return;
    }
    FAIL() << "no chain fell to " << (self ? "this worker" : "the other");
  }
  uint64_t HeadChain(uint32_t chunk) {
    driver_.Take();
    driver_.Lose(0);
    driver_.Advance(absl::Milliseconds(50));
    driver_.Take();
    driver_.Welcome(0);
    return driver_.hello().chunks(static_cast<int>(chunk)).head().chain();
  }
  void SendSnapshot(uint64_t round, uint64_t chain) {
    Buffer payload(sizeof(float) * OptionsOf(1, 2).layout->chunks()[0].num_elements);
    for (uint8_t& byte : payload.bytes()) byte = 0;
    v1::ResidualSnapshot snapshot;
    snapshot.set_round(round);
    snapshot.set_chain(chain);
    driver_.session().OnSnapshot(0, snapshot, std::make_shared<const Buffer>(std::move(payload)),
                                 driver_.now());
  }

  SessionDriver driver_;
};

TEST_F(SessionSaveTest, OnlyTheAnnouncedRoundSaysSo) {
  PlayRound();
  driver_.Take();
  EXPECT_FALSE(driver_.contribution().save());
  for (const uint32_t chunk : {0u, 1u}) driver_.Close(chunk);
  driver_.session().SaveNextRound();
  PlayRound();
  driver_.Take();
  EXPECT_TRUE(driver_.contribution().save());
  for (const uint32_t chunk : {0u, 1u}) driver_.Close(chunk);
  PlayRound();
  driver_.Take();
  EXPECT_FALSE(driver_.contribution().save());
}

TEST_F(SessionSaveTest, ARoundThatWasNotAnnouncedCannotBeSaved) {
  PlayRound();
  for (const uint32_t chunk : {0u, 1u}) driver_.Close(chunk);
  EXPECT_THAT(driver_.session().SaveRun(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("chunk 0: the round before 1 was not announced")));
}

TEST_F(SessionSaveTest, ARoundThatIsNotOverCannotBeSaved) {
  driver_.session().SaveNextRound();
  PlayRound();
  CloseSaved(0, /*snapshot=*/false);
  EXPECT_THAT(driver_.session().SaveRun(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("round 0 is not over")));
}

TEST_F(SessionSaveTest, WhatFallsToAnotherIsNotAwaited) {
  SaveUntilCustodian(/*self=*/false);
  const absl::StatusOr<SavedRun> run = driver_.session().SaveRun();
  ASSERT_THAT(run, IsOk());
  EXPECT_EQ(run->worker, Self().worker);
  ASSERT_EQ(run->chunks.size(), 2u);
  EXPECT_EQ(run->chunks[0].residual_norm, 2.5);
  EXPECT_EQ(run->chunks[0].snapshot, nullptr);
  EXPECT_EQ(run->chunks[1].residual_norm, 0);
}

TEST_F(SessionSaveTest, WhatFallsToThisWorkerIsAwaitedAndSaved) {
  SaveUntilCustodian(/*self=*/true);
  EXPECT_THAT(driver_.session().SaveRun(), StatusIs(absl::StatusCode::kDeadlineExceeded,
                                                    HasSubstr("chunk 0: aggregator `agg-0` (")));
  const uint64_t round = driver_.session().next_round() - 1;
  SendSnapshot(round, HeadChain(0));
  EXPECT_FALSE(driver_.session().AwaitedSnapshot().has_value());
  const absl::StatusOr<SavedRun> run = driver_.session().SaveRun();
  ASSERT_THAT(run, IsOk());
  EXPECT_NE(run->chunks[0].snapshot, nullptr);
  EXPECT_EQ(run->chunks[0].place.round, round);
}

TEST_F(SessionSaveTest, AResumedRunTellsWhereItStoodAndGivesBackWhatItHolds) {
  SaveUntilCustodian(/*self=*/true);
  SendSnapshot(driver_.session().next_round() - 1, HeadChain(0));
  const absl::StatusOr<SavedRun> run = driver_.session().SaveRun();
  ASSERT_THAT(run, IsOk());

  ClientOptions options = OptionsOf(1, 2);
  options.saved_run = EncodeSavedRun(*run, *options.layout);
  ASSERT_THAT(ValidateClientOptions(options), IsOk());
  SessionDriver resumed(options);
  resumed.Tick();
  resumed.Take();
  const v1::Hello& hello = resumed.hello();
  EXPECT_EQ(hello.intent(), v1::INTENT_RESUME);
  EXPECT_EQ(hello.settings().first_round(), run->next_round);
  ASSERT_EQ(hello.chunks_size(), 2);
  EXPECT_TRUE(hello.chunks(0).saved().holds_residual());
  EXPECT_EQ(hello.chunks(0).saved().residual_norm(), 2.5);
  EXPECT_EQ(hello.chunks(0).saved().head().chain(), run->chunks[0].chain);
  EXPECT_FALSE(hello.chunks(0).has_head());
  EXPECT_FALSE(hello.chunks(1).saved().holds_residual());

  resumed.Welcome(0);
  v1::Need need;
  need.set_kind(v1::Need::KIND_SNAPSHOT);
  need.mutable_rounds()->set_first(run->chunks[0].place.round);
  need.mutable_rounds()->set_last(run->chunks[0].place.round);
  resumed.session().OnNeed(0, need, resumed.now());
  const SessionActions actions = resumed.session().TakeActions();
  ASSERT_EQ(actions.size(), 1u);
  const auto& sent = absl::get<SendMessage>(actions[0]);
  EXPECT_EQ(sent.message.residual_snapshot().chain(), run->chunks[0].chain);
  EXPECT_EQ(sent.payload->size(), run->chunks[0].snapshot->size());
}

TEST_F(SessionSaveTest, WhatTheTrainerHasNotTakenYetIsSavedAndGivenToTheNextProcess) {
  driver_.session().TakeInheritances();
  driver_.session().SaveNextRound();
  PlayRound();
  CloseSaved(1, /*snapshot=*/false);
  v1::ResultHeader header = driver_.results().NextOf(0, driver_.ExchangeOf(0), {Self()});
  header.set_save(true);
  v1::Departure& left = *header.add_left();
  *left.mutable_member() = EncodeMember(Other());
  left.set_heir(Self().worker);
  *header.add_roster() = EncodeMember(Self());
  header.set_epoch(header.epoch() + 1);
  driver_.Result(header);
  EXPECT_TRUE(driver_.session().AwaitsInheritance(driver_.now()));
  EXPECT_FALSE(driver_.session().AwaitsInheritance(driver_.now() + absl::Seconds(11)));
  v1::Handover handover;
  *handover.mutable_leaver() = EncodeMember(Other());
  handover.set_after_chain(
      driver_.results().NextOf(0, driver_.ExchangeOf(0), {Self()}).prev_chain());
  driver_.session().OnHandover(0, handover, std::make_shared<const Buffer>(1024), driver_.now());
  EXPECT_FALSE(driver_.session().AwaitsInheritance(driver_.now()));

  const absl::StatusOr<SavedRun> run = driver_.session().SaveRun();
  ASSERT_THAT(run, IsOk());
  EXPECT_THAT(driver_.session().TakeInheritances(), SizeIs(1)) << "this process goes on";
  EXPECT_THAT(driver_.session().SaveRun()->inheritances, IsEmpty());

  ClientOptions options = OptionsOf(1, 2);
  options.saved_run = EncodeSavedRun(*run, *options.layout);
  SessionDriver resumed(options);
  EXPECT_THAT(resumed.session().TakeInheritances(),
              ElementsAre(Field(&Inheritance::leaver, Other().worker)));
  EXPECT_THAT(resumed.session().TakeInheritances(), IsEmpty());
}

TEST(SavedRunOptionTest, RefusesAnotherWorkersRunAndARoundBesideIt) {
  ClientOptions options = OptionsOf(1, 1);
  SavedRun run{.worker = "w-9", .next_round = 5};
  run.chunks.resize(1);
  options.saved_run = EncodeSavedRun(run, *options.layout);
  EXPECT_THAT(ValidateClientOptions(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`saved_run` was saved by worker `w-9`, must be that of `w-1`")));
  run.worker = options.worker;
  options.saved_run = EncodeSavedRun(run, *options.layout);
  options.first_round = 7;
  EXPECT_THAT(ValidateClientOptions(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`first_round` = 7, must be 0 with `saved_run`, which says 5")));
  options.saved_run = "nonsense";
  EXPECT_THAT(ValidateClientOptions(options),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("`saved_run`: ")));
}

}  // namespace
}  // namespace tally
