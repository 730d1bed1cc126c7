// How workers leave an engine's run, and hand over what they have not got across.
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "codecs/roster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/engine_fixture.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;

TEST_F(EngineTest, TheRunIsOverWhenEverybodyHasLeft) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  driver_->Leave(workers[0]->stream());
  EXPECT_EQ(driver_->engine().Status("", driver_->now()).jobs_size(), 1);
  EXPECT_THAT(*workers[0], IsOpen()) << "the other may not have the last results yet";
  driver_->Leave(workers[1]->stream());
  for (EngineWorker* const worker : workers) EXPECT_THAT(worker->closed(), Optional(IsOk()));
  EXPECT_EQ(driver_->engine().Status("", driver_->now()).jobs_size(), 0);
  EXPECT_EQ(driver_->engine().Status("", driver_->now()).admitted_bytes(), 0u);
}

TEST_F(EngineTest, ARunThatEverybodyHasLeftIsNotBegunAgainByOneWhoComesBack) {
  EngineWorker& worker = Join(Hello(0, 1));
  worker.Contribute(0, 1);
  driver_->Leave(worker.stream(), /*last_round=*/0);
  ASSERT_THAT(worker.closed(), Optional(IsOk()));
  worker.Reconnect();
  EXPECT_THAT(worker.closed(),
              Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("`run` = 7 of job `job` is over here"))));
  EXPECT_THAT(Join(Hello(0, 1)), IsOpen()) << "its number may be used again";
}

TEST_F(EngineTest, ARunThatNobodyHasBegunHereIsNotOver) {
  EngineWorker& starter = Join(Hello(0, 2));
  driver_->Disconnect(starter.stream());
  ASSERT_EQ(driver_->engine().Status("", driver_->now()).jobs_size(), 0);
  EngineWorker& member = Join(Hello(1, 2).Intent(v1::INTENT_MEMBER).Head(0, 7, 0xabc));
  EXPECT_FALSE(member.closed().has_value() &&
               absl::StrContains(member.closed()->message(), "is over"))
      << "it may have begun before this aggregator was restarted";
}

TEST_F(EngineTest, WhoWasOutOfReachWhenTheOthersLeftDoesNotGoOnAlone) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  for (EngineWorker* const worker : workers) worker->Contribute(0, 1);
  driver_->Disconnect(workers[2]->stream());
  for (const int i : {0, 1}) {
    driver_->Leave(workers[i]->stream(), /*last_round=*/0);
    driver_->Disconnect(workers[i]->stream());
  }
  driver_->AdvanceBy(absl::Seconds(31));
  ASSERT_EQ(driver_->engine().Status("", driver_->now()).jobs_size(), 0);
  workers[2]->Reconnect();
  EXPECT_THAT(workers[2]->closed(),
              Optional(StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("is over here"))));
}

TEST_F(EngineTest, ALeaverWhoseStreamBrokeAtTheVeryEndIsLetGo) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  for (EngineWorker* const worker : workers) worker->Contribute(0, 1);
  driver_->Leave(workers[0]->stream(), /*last_round=*/0);
  driver_->Disconnect(workers[0]->stream());
  workers[0]->Reconnect(v1::INTENT_LEAVING);
  EXPECT_THAT(*workers[0], IsOpen()) << "the other may not have the last results yet";
  driver_->Disconnect(workers[0]->stream());
  driver_->Leave(workers[1]->stream(), /*last_round=*/0);
  ASSERT_EQ(driver_->engine().Status("", driver_->now()).jobs_size(), 0);
  workers[0]->Reconnect(v1::INTENT_LEAVING);
  EXPECT_THAT(workers[0]->closed(), Optional(IsOk()));
}

// All that live have left; the leaver is the witness that somebody must be.
TEST_F(EngineTest, ALeaverOutlivesThoseItStaysFor) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  for (EngineWorker* const worker : workers) worker->Contribute(0, 1);
  driver_->Leave(workers[0]->stream(), /*last_round=*/0);
  for (const int i : {1, 2}) driver_->Disconnect(workers[i]->stream());
  v1::Heartbeat heartbeat;
  heartbeat.mutable_links()->add_links()->set_let_go(true);
  for (int i = 0; i < 30 && !workers[0]->closed().has_value(); ++i) {
    driver_->AdvanceBy(absl::Seconds(5));
    driver_->Heartbeat(workers[0]->stream(), heartbeat);
  }
  EXPECT_THAT(workers[0]->closed(), Optional(IsOk()));
  EXPECT_EQ(driver_->engine().Status("", driver_->now()).jobs_size(), 0);
}

// It was evicted, and what it alone had read was decided anew.
TEST_F(EngineTest, ALeaverWhoseLastResultWasUndoneIsNotLetGo) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  for (EngineWorker* const worker : workers) worker->Contribute(0, 1);
  driver_->Disconnect(workers[2]->stream());
  v1::Heartbeat heartbeat;
  *heartbeat.add_fences() = EncodeMember({"w-2", 102});
  driver_->Heartbeat(workers[0]->stream(), heartbeat);
  for (const int i : {0, 1}) driver_->Leave(workers[i]->stream(), /*last_round=*/0);
  ASSERT_EQ(driver_->engine().Status("", driver_->now()).jobs_size(), 0);
  v1::Hello leaver = Hello(2, 3).Intent(v1::INTENT_LEAVING).Head(0, 0, 0xbad).Build();
  EXPECT_THAT(driver_->inbox(driver_->Open(leaver)).closed,
              Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("this one was evicted before"))));
}

TEST_F(EngineTest, AHelloThatSaysItLeavesIsALeave) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  driver_->Disconnect(workers[0]->stream());
  workers[0]->Reconnect(v1::INTENT_LEAVING);
  driver_->Leave(workers[1]->stream());
  for (EngineWorker* const worker : workers) EXPECT_THAT(worker->closed(), Optional(IsOk()));
}

TEST_F(EngineTest, ALeaverStaysUntilTheOthersHaveItsLastResult) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  for (EngineWorker* const worker : workers) worker->Contribute(0, 1);
  driver_->Leave(workers[0]->stream(), /*last_round=*/0);
  // Who opens the next round has everything of the last one.
  workers[1]->Contribute(0, 1);
  EXPECT_THAT(*workers[0], IsOpen());
  v1::Heartbeat heartbeat;
  heartbeat.mutable_links()->add_links()->set_open_round(1);
  driver_->Heartbeat(workers[2]->stream(), heartbeat);
  EXPECT_THAT(workers[0]->closed(), Optional(IsOk()));
}

// What it contributed would be needed after a crash.
TEST_F(EngineTest, ALeaverStaysUntilASnapshotHoldsWhatItContributed) {
  std::vector<EngineWorker*> workers;
  for (const int i : {0, 1, 2}) {
    workers.push_back(&Join(Hello(i, 3).WithLayout(LayoutOf(200, 256))));
  }
  const auto contribute = [](EngineWorker* worker) {
    worker->ContributeAs(0, SignBlocks256(), SignPayload({1.0f}, 200));
  };
  for (EngineWorker* const worker : workers) contribute(worker);
  driver_->Leave(workers[0]->stream(), /*last_round=*/0);
  for (const int i : {1, 2}) contribute(workers[i]);
  v1::Heartbeat heartbeat;
  heartbeat.mutable_links()->add_links()->set_open_round(2);
  for (const int i : {1, 2}) driver_->Heartbeat(workers[i]->stream(), heartbeat);
  EXPECT_THAT(*workers[0], IsOpen()) << "the others have its last result";
  // The snapshot of the first round is under way; the one that the departure asks for comes after
  // it.
  for (int round = 2; round < 4; ++round) {
    for (EngineWorker* const worker : workers) {
      for (const auto& snapshot : worker->inbox().snapshots) {
        driver_->Acknowledge(worker->stream(), *snapshot);
      }
    }
    for (const int i : {1, 2}) contribute(workers[i]);
  }
  EXPECT_THAT(workers[0]->closed(), Optional(IsOk()));
}

TEST_F(EngineTest, WhoLeavesAloneIsNamedAsWhatTheOthersWaitFor) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  driver_->Leave(workers[0]->stream());
  driver_->Disconnect(workers[0]->stream());
  workers[1]->Contribute(0, 1);
  driver_->AdvanceBy(absl::Seconds(2));
  EXPECT_EQ(Status().reason(),
            "round 0, chunk 0: waiting for worker `w-0`, which has left; 1 of 2 arrived in 2.0 s");
}

TEST_F(EngineTest, WhoLeavesBeforeTheFirstRoundIsNotWaitedFor) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  // The round before the first one.
  driver_->Leave(workers[0]->stream(), /*last_round=*/~uint64_t{0});
  EXPECT_THAT(workers[0]->closed(), Optional(IsOk())) << "nobody needs what it has";
  workers[1]->Contribute(0, 1);
  EXPECT_EQ(workers[1]->NewestValue(0), 1);
}

TEST_F(EngineTest, WhoAnnouncesItsLeaveAndStaysAwayIsEvicted) {
  EngineOptions options = Options();
  options.eviction.evict_after = absl::Seconds(5);
  options.recover_after = absl::Seconds(1);
  Restart(options);
  const std::vector<EngineWorker*> workers = StartRun(3);
  driver_->Leave(workers[2]->stream(), /*last_round=*/1'000'000);
  driver_->Disconnect(workers[2]->stream());
  for (const int i : {0, 1}) workers[i]->Contribute(0, 1);
  v1::Heartbeat heartbeat;
  heartbeat.mutable_links()->add_links()->set_up(true);
  for (int second = 0; second < 7; ++second) {
    for (const int i : {0, 1}) driver_->Heartbeat(workers[i]->stream(), heartbeat);
    driver_->AdvanceBy(absl::Seconds(1));
  }
  EXPECT_EQ(workers[0]->NewestValue(0), 1);
}

// --- Hand-over ---

class EngineHandoverTest : public EngineTest {
 protected:
  // A run of one chunk of 200 elements whose first round is over; w-0 leaves after it and stays for
  // ten seconds.
  std::vector<EngineWorker*> PlayAndLeave(uint32_t count) {
    std::vector<EngineWorker*> workers;
    for (uint32_t i = 0; i < count; ++i) {
      workers.push_back(&Join(Hello(static_cast<int>(i), count).WithLayout(LayoutOf(200, 256))));
    }
    for (EngineWorker* const worker : workers) worker->Contribute(0, 1);
    driver_->Leave(workers[0]->stream(), /*last_round=*/0, absl::Seconds(10));
    return workers;
  }
  // The others close the next round.
  static v1::ResultHeader PlayOn(const std::vector<EngineWorker*>& workers) {
    for (size_t i = 1; i < workers.size(); ++i) workers[i]->Contribute(0, 1);
    v1::ResultHeader header;
    EXPECT_TRUE(header.ParseFromString(workers[1]->Newest(0)->message.header()));
    return header;
  }
  static EngineWorker& Named(const std::vector<EngineWorker*>& workers, const std::string& name) {
    for (EngineWorker* const worker : workers) {
      if (worker->hello().member().worker() == name) return *worker;
    }
    ADD_FAILURE() << name << " is not a worker of the test";
    return *workers[0];
  }
  void HandOver(const EngineWorker& leaver, const std::string& heir) {
    v1::Handover handover;
    handover.set_heir(heir);
    handover.mutable_slice()->set_total_bytes(800);
    driver_->HandOver(leaver.stream(), handover, std::string(800, 'x'));
  }
};

TEST_F(EngineHandoverTest, TheHeaderThatTellsOfALeaveNamesAnHeirWhoStays) {
  const std::vector<EngineWorker*> workers = PlayAndLeave(4);
  driver_->Leave(workers[3]->stream(), /*last_round=*/5, absl::Seconds(10));
  const v1::ResultHeader header = PlayOn(workers);
  ASSERT_EQ(header.left_size(), 1);
  EXPECT_EQ(header.left(0).member().worker(), "w-0");
  EXPECT_TRUE(header.left(0).heir() == "w-1" || header.left(0).heir() == "w-2")
      << header.left(0).heir() << "; w-3 has announced its own leave";
  EXPECT_THAT(*workers[0], IsOpen()) << "it has something to hand over";
}

TEST_F(EngineHandoverTest, AResidualPassesThroughToTheHeirAndItsWordBack) {
  const std::vector<EngineWorker*> workers = PlayAndLeave(3);
  const std::string heir_name = PlayOn(workers).left(0).heir();
  EngineWorker& heir = Named(workers, heir_name);
  HandOver(*workers[0], heir_name);
  ASSERT_THAT(heir.inbox().handovers, SizeIs(1));
  EXPECT_EQ(heir.inbox().handovers[0].first.leaver().worker(), "w-0");
  EXPECT_EQ(heir.inbox().handovers[0].second, std::string(800, 'x'));
  v1::HandoverAck ack;
  *ack.mutable_leaver() = heir.inbox().handovers[0].first.leaver();
  driver_->AcknowledgeHandover(heir.stream(), ack);
  EXPECT_THAT(workers[0]->inbox().handover_acks, SizeIs(1));
  driver_->Leave(workers[0]->stream(), /*last_round=*/0);
  EXPECT_THAT(workers[0]->closed(), Optional(IsOk())) << "it is done";
}

TEST_F(EngineHandoverTest, WhereEverybodyLeavesNobodyInherits) {
  const std::vector<EngineWorker*> workers = PlayAndLeave(2);
  EXPECT_THAT(*workers[0], IsOpen());
  driver_->Leave(workers[1]->stream(), /*last_round=*/0, absl::Seconds(10));
  for (EngineWorker* const worker : workers) EXPECT_THAT(worker->closed(), Optional(IsOk()));
}

TEST_F(EngineHandoverTest, ALeaverIsKeptNoLongerThanItSaid) {
  const std::vector<EngineWorker*> workers = PlayAndLeave(3);
  PlayOn(workers);
  driver_->AdvanceBy(absl::Seconds(9));
  for (size_t i = 1; i < 3; ++i) driver_->Heartbeat(workers[i]->stream());
  EXPECT_THAT(*workers[0], IsOpen());
  driver_->AdvanceBy(absl::Seconds(2));
  EXPECT_THAT(workers[0]->closed(), Optional(IsOk()));
}

TEST_F(EngineHandoverTest, ALeaverWhoseStreamBrokeGoesOn) {
  const std::vector<EngineWorker*> workers = PlayAndLeave(3);
  const std::string heir_name = PlayOn(workers).left(0).heir();
  driver_->Disconnect(workers[0]->stream());
  EngineWorker& again =
      Join(Hello(0, 3).WithLayout(LayoutOf(200, 256)).Intent(v1::INTENT_OBSERVER));
  ASSERT_THAT(again, IsOpen());
  HandOver(again, heir_name);
  EXPECT_THAT(Named(workers, heir_name).inbox().handovers, SizeIs(1));
}

TEST_F(EngineHandoverTest, WhoLeavesForTheSecondTimeIsNotWaitedFor) {
  std::vector<EngineWorker*> workers = PlayAndLeave(3);
  PlayOn(workers);
  driver_->Leave(workers[0]->stream(), /*last_round=*/0);
  EngineWorker& again = Join(HelloBuilder(Hello(0, 3))
                                 .Worker("w-0", 200)
                                 .WithLayout(LayoutOf(200, 256))
                                 .Intent(v1::INTENT_OBSERVER));
  driver_->Activate(again.stream(), 2);
  const v1::ResultHeader taken_in = PlayOn(workers);
  ASSERT_EQ(taken_in.activated_size(), 1);
  EXPECT_EQ(taken_in.evicted_size(), 0) << "its first process has left";
  workers[0] = &again;
  for (EngineWorker* const worker : workers) worker->Contribute(0, 1);
  driver_->Leave(again.stream(), /*last_round=*/again.Newest(0)->place.round);
  const v1::ResultHeader header = PlayOn(workers);
  ASSERT_EQ(header.left_size(), 1);
  EXPECT_EQ(header.left(0).member().incarnation(), 200u);
}

TEST_F(EngineHandoverTest, AnHeirThatComesBackIsGivenAgain) {
  const std::vector<EngineWorker*> workers = PlayAndLeave(3);
  const std::string heir_name = PlayOn(workers).left(0).heir();
  EngineWorker& heir = Named(workers, heir_name);
  HandOver(*workers[0], heir_name);
  driver_->Disconnect(heir.stream());
  const size_t num_notes = workers[0]->inbox().handovers.size();
  heir.Reconnect();
  ASSERT_THAT(workers[0]->inbox().handovers, SizeIs(num_notes + 1)) << "the leaver is told";
  EXPECT_EQ(workers[0]->inbox().handovers.back().first.heir(), heir_name);
  HandOver(*workers[0], heir_name);
  EXPECT_THAT(heir.inbox().handovers, SizeIs(1));
}

TEST_F(EngineHandoverTest, OnlyTheHeirsWordCounts) {
  const std::vector<EngineWorker*> workers = PlayAndLeave(3);
  const std::string heir_name = PlayOn(workers).left(0).heir();
  HandOver(*workers[0], heir_name);
  v1::HandoverAck ack;
  *ack.mutable_leaver() = workers[0]->hello().member();
  driver_->AcknowledgeHandover(Named(workers, heir_name == "w-1" ? "w-2" : "w-1").stream(), ack);
  EXPECT_THAT(workers[0]->inbox().handover_acks, IsEmpty());
}

TEST_F(EngineHandoverTest, RefusesAnHeirThatTheHeaderDoesNotName) {
  const std::vector<EngineWorker*> workers = PlayAndLeave(3);
  const std::string other = PlayOn(workers).left(0).heir() == "w-1" ? "w-2" : "w-1";
  HandOver(*workers[0], other);
  EXPECT_THAT(workers[0]->closed(), Optional(StatusIs(absl::StatusCode::kInvalidArgument,
                                                      HasSubstr("as the header says"))));
}

TEST_F(EngineHandoverTest, RefusesAHandoverOfWhoStays) {
  const std::vector<EngineWorker*> workers = PlayAndLeave(3);
  HandOver(*workers[1], "w-2");
  EXPECT_THAT(workers[1]->closed(), Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                                      HasSubstr("must come after `leave`"))));
  EXPECT_THAT(*workers[2], IsOpen());
}

TEST_F(EngineHandoverTest, RefusesWhatIsNoResidualOfAChunkHere) {
  for (const auto& [chunk, bytes, what] :
       {std::tuple(9u, 800u, "`handover.chunk` = 9, must be one of this aggregator's"),
        std::tuple(0u, 804u, "`handover.slice.total_bytes` = 804, must be 800")}) {
    Restart(Options());
    const std::vector<EngineWorker*> workers = PlayAndLeave(2);
    v1::Handover handover;
    handover.set_chunk(chunk);
    handover.set_heir("w-1");
    handover.mutable_slice()->set_total_bytes(bytes);
    driver_->HandOver(workers[0]->stream(), handover, std::string(bytes, 'x'));
    EXPECT_THAT(workers[0]->closed(),
                Optional(StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what))));
    EXPECT_THAT(workers[1]->inbox().handovers, IsEmpty());
    EXPECT_THAT(*workers[1], IsOpen());
  }
}

}  // namespace
}  // namespace tally
