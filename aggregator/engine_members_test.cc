// Who comes, stays and goes at an engine.
#include <vector>

#include "codecs/roster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/engine_fixture.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;

// --- Who may enter ---

TEST_F(EngineTest, RefusesAHelloThatBreaksARule) {
  v1::Hello hello = Hello(0, 1).Build();
  hello.set_version(2);
  EXPECT_THAT(driver_->inbox(driver_->Open(hello)).closed,
              Optional(StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`version` = 2"))));
}

TEST_F(EngineTest, RefusesAWorkerOfTheRunWithOtherSettings) {
  Join(Hello(0, 2));
  EXPECT_THAT(Join(Hello(1, 3)).closed(),
              Optional(StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("`settings.expected_workers` = 3, must be 2"))));
}

TEST_F(EngineTest, RefusesAStarterWithAnotherInitialState) {
  Join(Hello(0, 2));
  v1::Hello other = Hello(1, 2).Build();
  other.set_initial_state_digest(0xdef);
  EXPECT_THAT(driver_->inbox(driver_->Open(other)).closed,
              Optional(StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("`initial_state_digest` = def, must be"))));
}

TEST_F(EngineTest, RefusesAMemberThatTheRunHasNotHad) {
  StartRun(2);
  EXPECT_THAT(Join(Hello(2, 2).Intent(v1::INTENT_MEMBER)).closed(),
              Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("`member.worker` = w-2, must be one of the 2 that "
                                          "started run 7 of job `job`"))));
}

TEST_F(EngineTest, RefusesAMemberOfAJobWithoutHistoryHere) {
  EXPECT_THAT(
      Join(Hello(0, 2).Intent(v1::INTENT_MEMBER)).closed(),
      Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                        HasSubstr("neither this worker nor aggregator `agg-0` has a history of run "
                                  "7"))));
  Join(Hello(0, 2));
  EXPECT_THAT(Join(Hello(1, 2).Intent(v1::INTENT_MEMBER)).closed(),
              Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("run 7 of job `job` has no history here"))));
}

TEST_F(EngineTest, BeforeTheStartTheNewestIncarnationCounts) {
  EngineWorker& old_one = Join(Hello(0, 2).Worker("w-0", 10));
  EngineWorker& new_one = Join(Hello(0, 2).Worker("w-0", 11));
  EXPECT_THAT(old_one.closed(), Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                                  HasSubstr("a newer process"))));
  EXPECT_THAT(Join(Hello(0, 2).Worker("w-0", 9)).closed(),
              Optional(StatusIs(absl::StatusCode::kAborted,
                                HasSubstr("`member.incarnation` = 9, must be the newest of worker "
                                          "`w-0`, 11"))));
  Join(Hello(1, 2));
  EXPECT_NE(new_one.Newest(0), nullptr);
}

TEST_F(EngineTest, ARunningWorkerKeepsItsIncarnation) {
  StartRun(2);
  EXPECT_THAT(Join(Hello(0, 2).Worker("w-0", 101).Intent(v1::INTENT_MEMBER)).closed(),
              Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("`member.incarnation` = 101, must be 100"))));
}

TEST_F(EngineTest, RefusesAnotherRunByNameUntilTheFirstIsOver) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  const HelloBuilder next_run = Hello(0, 2).Job("job", 8);
  EXPECT_THAT(Join(next_run).closed(),
              Optional(StatusIs(absl::StatusCode::kUnavailable,
                                HasSubstr("`run` = 8, must wait: run 7 of job `job` lives here, "
                                          "with w-0, w-1"))));
  for (EngineWorker* const worker : workers) driver_->Disconnect(worker->stream());
  driver_->AdvanceBy(absl::Seconds(29));
  EXPECT_THAT(Join(next_run).closed(),
              Optional(StatusIs(absl::StatusCode::kUnavailable,
                                HasSubstr("lives here, though its workers are gone"))));
  driver_->AdvanceBy(absl::Seconds(1));
  EXPECT_THAT(Join(next_run), IsOpen());
}

// All workers are killed and started again by a launcher that draws no run.
TEST_F(EngineTest, AWholeJobMayStartAgainWithTheSameRun) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  for (EngineWorker* const worker : workers) driver_->Disconnect(worker->stream());
  driver_->AdvanceBy(absl::Seconds(29));
  EXPECT_THAT(Join(Hello(0, 2).Worker("w-0", 500)).closed(),
              Optional(StatusIs(absl::StatusCode::kUnavailable,
                                AllOf(HasSubstr("though its workers are gone"),
                                      HasSubstr("INTENT_START must wait")))));
  driver_->AdvanceBy(absl::Seconds(1));
  EngineWorker& first = Join(Hello(0, 2).Worker("w-0", 501));
  EngineWorker& second = Join(Hello(1, 2).Worker("w-1", 502));
  first.Contribute(0, 1);
  second.Contribute(0, 3);
  EXPECT_EQ(first.NewestValue(0), 2);
}

// All streams break before anybody has read the genesis: these are the members, and say START.
TEST_F(EngineTest, MembersThatHaveNotReadTheGenesisNeedNotWait) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  for (EngineWorker* const worker : workers) driver_->Disconnect(worker->stream());
  EXPECT_THAT(Join(Hello(0, 2)), IsOpen());
  EXPECT_THAT(Join(Hello(1, 2)), IsOpen());
}

TEST_F(EngineTest, ARefusedHelloDisturbsNobody) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  Join(Hello(0, 2).Job("job", 8));
  Join(Hello(5, 2));
  workers[0]->Contribute(0, 1);
  workers[1]->Contribute(0, 3);
  EXPECT_EQ(workers[0]->NewestValue(0), 2);
}

TEST_F(EngineTest, RefusesAJobThatDoesNotFitIntoItsMemory) {
  Restart({.name = "agg-0", .memory_limit_bytes = 1000});
  EXPECT_THAT(Join(Hello(0, 1)).closed(),
              Optional(StatusIs(absl::StatusCode::kResourceExhausted,
                                AllOf(HasSubstr("the job needs up to "),
                                      HasSubstr("of `memory_limit` = 1000")))));
  EXPECT_EQ(driver_->engine().Status("", driver_->now()).jobs_size(), 0);
}

TEST_F(EngineTest, AnAdmittedJobsMemoryIsGivenBackWhenItsRunIsOver) {
  const std::vector<EngineWorker*> workers = StartRun(1);
  const uint64_t admitted = Status().admitted_bytes();
  EXPECT_GT(admitted, 0u);
  EXPECT_EQ(driver_->engine().Status("", driver_->now()).admitted_bytes(), admitted);
  Restart({.name = "agg-0",
           .memory_limit_bytes = admitted + admitted / 2,
           .recover_after = absl::ZeroDuration()});
  EngineWorker& first = Join(Hello(0, 1));
  EXPECT_THAT(Join(Hello(0, 1).Job("other", 1)).closed(),
              Optional(StatusIs(absl::StatusCode::kResourceExhausted)));
  driver_->Leave(first.stream());
  EXPECT_THAT(Join(Hello(0, 1).Job("other", 1)), IsOpen());
}

TEST_F(EngineTest, AfterARestartHalfOfTheMemoryWaitsForRunsThatWereHere) {
  StartRun(1);
  const uint64_t admitted = Status().admitted_bytes();
  Restart({.name = "agg-0", .memory_limit_bytes = admitted + admitted / 2});
  EXPECT_THAT(Join(Hello(0, 1).Job("new", 1)).closed(),
              Optional(StatusIs(absl::StatusCode::kResourceExhausted,
                                HasSubstr("wait a while for runs that were here"))));
  v1::Hello returning = Hello(0, 1).Intent(v1::INTENT_MEMBER).Head(0, 7, 0xabc).Build();
  v1::Hello::EpochRoster& roster = *returning.add_rosters();
  *roster.add_roster() = returning.member();
  EXPECT_FALSE(driver_->inbox(driver_->Open(returning)).closed.has_value());
  Restart({.name = "agg-0", .memory_limit_bytes = admitted + admitted / 2});
  driver_->AdvanceBy(absl::Seconds(31));
  EXPECT_THAT(Join(Hello(0, 1).Job("new", 1)), IsOpen()) << "who has not come by now will not";
}

// --- Eviction ---

TEST_F(EngineTest, EvictsASilentMemberBeforeWitnesses) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  for (const int i : {0, 1}) workers[i]->Contribute(0, 1);
  driver_->Disconnect(workers[2]->stream());
  v1::Heartbeat heartbeat;
  heartbeat.mutable_links()->add_links()->set_up(true);
  for (int second = 0; second < 29; ++second) {
    for (const int i : {0, 1}) driver_->Heartbeat(workers[i]->stream(), heartbeat);
    driver_->AdvanceBy(absl::Seconds(1));
  }
  EXPECT_EQ(workers[0]->inbox().results.size(), 2u) << "29 s are not 30";
  for (const int i : {0, 1}) driver_->Heartbeat(workers[i]->stream(), heartbeat);
  driver_->AdvanceBy(absl::Seconds(2));
  EXPECT_EQ(workers[0]->NewestValue(0), 1) << "the exchange goes on without it";
  EXPECT_THAT(driver_->announcements(),
              Contains(HasSubstr("run 7: worker `w-2` was evicted: silent for 30")));
  workers[2]->Reconnect();
  EXPECT_THAT(workers[2]->closed(), Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                                      HasSubstr("this worker was evicted"))));
}

TEST_F(EngineTest, TellsWhoIsDeadWhatItCounts) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  for (EngineWorker* const worker : workers) worker->Contribute(0, 1);
  // Of chunk 1 the round is still open; what is here will count.
  workers[2]->Contribute(1, 1);
  v1::Heartbeat heartbeat;
  heartbeat.add_fences()->set_worker("w-2");
  heartbeat.mutable_fences(0)->set_incarnation(102);
  driver_->Heartbeat(workers[0]->stream(), heartbeat);
  const auto expect_told = [](const absl::optional<v1::Welcome>& welcome) {
    ASSERT_TRUE(welcome.has_value());
    EXPECT_EQ(welcome->verdict(), v1::Welcome::VERDICT_FENCED);
    EXPECT_EQ(welcome->fence().incarnation(), 102u);
    ASSERT_EQ(welcome->chunks_size(), 2);
    for (const v1::Welcome::ChunkState& chunk : welcome->chunks()) {
      EXPECT_EQ(chunk.last_counted().round(), 0u);
    }
  };
  expect_told(workers[2]->inbox().welcome);
  for (const int i : {0, 1}) {
    for (const uint32_t chunk : {1u, 0u}) workers[i]->Contribute(chunk, 1);
  }
  workers[2]->Reconnect();
  expect_told(workers[2]->inbox().welcome);
  EXPECT_THAT(workers[2]->closed(), Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                                      HasSubstr("this worker was evicted"))));
}

TEST_F(EngineTest, TellsWhoIsDeadWhetherItsHeadIsThere) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  for (EngineWorker* const worker : workers) worker->Contribute(0, 1);
  v1::Heartbeat heartbeat;
  *heartbeat.add_fences() = EncodeMember({"w-2", 102});
  driver_->Heartbeat(workers[0]->stream(), heartbeat);
  const auto head_for = [&](uint64_t round, uint64_t chain) {
    HelloBuilder hello = Hello(2, 3).Intent(v1::INTENT_MEMBER).Head(0, round, chain);
    const auto& welcome = Join(hello).inbox().welcome;
    return welcome.has_value() && welcome->chunks_size() > 0 && welcome->chunks(0).has_head()
               ? absl::make_optional(welcome->chunks(0).head().chain())
               : absl::nullopt;
  };
  const uint64_t chain = workers[0]->Newest(0)->chain;
  EXPECT_EQ(head_for(0, chain), chain);
  EXPECT_EQ(head_for(0, 0xbad), chain) << "a crash undid it";
  EXPECT_EQ(head_for(1, 0xbad), chain) << "or what is to come";
}

// A Hello that is refused leaves no trace.
TEST_F(EngineTest, AClaimThatContradictsItselfDoesNotKeepOthersFromStarting) {
  EngineWorker& first = Join(Hello(0, 2));
  v1::Hello wrong = Hello(1, 2).Intent(v1::INTENT_MEMBER).Head(0, 7, 0xabc).Build();
  wrong.mutable_chunks(0)->mutable_head()->set_epoch(3);
  EXPECT_THAT(driver_->inbox(driver_->Open(wrong)).closed,
              Optional(StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("head.epoch"))));
  Join(Hello(1, 2));
  EXPECT_NE(first.Newest(0), nullptr);
}

TEST_F(EngineTest, EvictsWhoIsHeardButKeepsTheOthersWaiting) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  for (const int i : {0, 1}) workers[i]->Contribute(0, 1);
  v1::Heartbeat heartbeat;
  heartbeat.mutable_links()->add_links()->set_up(true);
  for (int second = 0; second < 302; ++second) {
    const bool is_early = second < 299;
    EXPECT_TRUE(driver_->announcements().empty() || !is_early) << second;
    for (EngineWorker* const worker : workers) driver_->Heartbeat(worker->stream(), heartbeat);
    driver_->AdvanceBy(absl::Seconds(1));
  }
  EXPECT_THAT(driver_->announcements(),
              Contains(HasSubstr("worker `w-2` was evicted: others wait for its contribution")));
  EXPECT_EQ(workers[0]->NewestValue(0), 1) << "the exchange goes on without it";
}

TEST_F(EngineTest, EvictsNobodyWithoutWitnesses) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  driver_->Disconnect(workers[2]->stream());
  v1::Heartbeat cut_off;
  cut_off.mutable_links()->add_links()->set_up(false);
  for (int second = 0; second < 200; ++second) {
    for (const int i : {0, 1}) driver_->Heartbeat(workers[i]->stream(), cut_off);
    driver_->AdvanceBy(absl::Seconds(1));
  }
  EXPECT_THAT(driver_->announcements(), IsEmpty());
}

TEST_F(EngineTest, APauseOfTheAggregatorMakesNobodySilent) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  v1::Heartbeat heartbeat;
  heartbeat.mutable_links()->add_links()->set_up(true);
  for (int second = 0; second < 40; ++second) {
    for (EngineWorker* const worker : workers) driver_->Heartbeat(worker->stream(), heartbeat);
    driver_->AdvanceBy(absl::Seconds(1));
  }
  driver_->PauseFor(absl::Hours(1));
  // Some are heard again before others.
  for (const int i : {0, 1}) driver_->Heartbeat(workers[i]->stream(), heartbeat);
  driver_->AdvanceBy(absl::Seconds(5));
  EXPECT_THAT(driver_->announcements(), IsEmpty());
  for (EngineWorker* const worker : workers) EXPECT_THAT(*worker, IsOpen());
}

TEST_F(EngineTest, EvictsWhomAnotherAggregatorHasEvicted) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  for (const int i : {0, 1}) workers[i]->Contribute(0, 1);
  v1::Heartbeat heartbeat;
  heartbeat.add_fences()->set_worker("w-2");
  heartbeat.mutable_fences(0)->set_incarnation(101);
  driver_->Heartbeat(workers[0]->stream(), heartbeat);
  EXPECT_THAT(*workers[2], IsOpen()) << "w-2 is incarnation 102: that one is not dead";
  heartbeat.mutable_fences(0)->set_incarnation(102);
  driver_->Heartbeat(workers[0]->stream(), heartbeat);
  EXPECT_THAT(workers[2]->closed(),
              Optional(StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("was evicted"))));
  EXPECT_EQ(workers[0]->NewestValue(0), 1);
}

// --- The end of a run that nobody leaves ---

TEST_F(EngineTest, ARunLivesOnWhileSomebodyIsConnected) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  driver_->Disconnect(workers[0]->stream());
  for (int i = 0; i < 10; ++i) {
    driver_->AdvanceBy(absl::Seconds(20));
    driver_->Heartbeat(workers[1]->stream());
  }
  driver_->Disconnect(workers[1]->stream());
  driver_->AdvanceBy(absl::Seconds(29));
  workers[0]->Reconnect();
  EXPECT_THAT(*workers[0], IsOpen());
}

TEST_F(EngineTest, WhoIsRefusedAtSealingWasConnectedUntilThen) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  workers[0]->Contribute(0, 2);
  workers[1]->Contribute(0, 4);
  driver_->Disconnect(workers[0]->stream());
  driver_->Disconnect(workers[1]->stream());
  for (int i = 0; i < 4; ++i) {
    driver_->AdvanceBy(absl::Seconds(20));
    driver_->Heartbeat(workers[2]->stream());
  }
  workers[2]->ContributeAs(0, SignBlocks256(), SignPayload({1, 1}, 512));
  EXPECT_THAT(workers[2]->closed(), Optional(StatusIs(absl::StatusCode::kFailedPrecondition)));
  driver_->AdvanceBy(absl::Seconds(29));
  workers[0]->Reconnect();
  EXPECT_EQ(workers[0]->NewestValue(0), 3);
}

TEST_F(EngineTest, StoppingClosesEveryStreamAndForgetsEveryJob) {
  EngineWorker& a = Join(Hello(0, 1).Job("a", 1));
  EngineWorker& b = Join(Hello(0, 2).Job("b", 1));
  driver_->Stop(absl::UnavailableError("gone"));
  EXPECT_THAT(a.closed(), Optional(StatusIs(absl::StatusCode::kUnavailable, "gone")));
  EXPECT_THAT(b.closed(), Optional(StatusIs(absl::StatusCode::kUnavailable, "gone")));
  EXPECT_EQ(driver_->engine().Status("", driver_->now()).jobs_size(), 0);
}

// --- Silence ---

TEST_F(EngineTest, ASilentStreamIsClosedAndItsWorkerMayComeBack) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  for (int i = 0; i < 4; ++i) {
    driver_->AdvanceBy(absl::Seconds(10));
    driver_->Heartbeat(workers[1]->stream());
  }
  EXPECT_THAT(workers[0]->closed(), Optional(StatusIs(absl::StatusCode::kDeadlineExceeded,
                                                      "nothing was heard on this stream for 30s")));
  EXPECT_THAT(*workers[1], IsOpen());
  workers[0]->Reconnect();
  EXPECT_THAT(*workers[0], IsOpen());
}

TEST_F(EngineTest, WorkersThatTakeLongToTheirNextRoundAreNotSilentWhileTheyBeat) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  v1::Heartbeat heartbeat;
  heartbeat.mutable_links()->add_links()->set_up(true);
  for (int i = 0; i < 60; ++i) {
    driver_->AdvanceBy(absl::Seconds(10));
    for (EngineWorker* const worker : workers) driver_->Heartbeat(worker->stream(), heartbeat);
  }
  for (EngineWorker* const worker : workers) EXPECT_THAT(*worker, IsOpen());
  EXPECT_THAT(driver_->announcements(), IsEmpty()) << "nobody is evicted";
}

TEST_F(EngineTest, APausedProcessSendsNobodyAway) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  driver_->AdvanceBy(absl::Seconds(20));
  driver_->PauseFor(absl::Hours(1));
  for (EngineWorker* const worker : workers) EXPECT_THAT(*worker, IsOpen());
  driver_->AdvanceBy(absl::Seconds(5));
  for (EngineWorker* const worker : workers) {
    EXPECT_THAT(*worker, IsOpen());
    driver_->Heartbeat(worker->stream());
  }
  driver_->AdvanceBy(absl::Seconds(30));
  for (EngineWorker* const worker : workers) EXPECT_THAT(*worker, IsOpen());
}

TEST_F(EngineTest, APausedProcessForgetsNoRun) {
  const std::vector<EngineWorker*> workers = StartRun(1);
  driver_->Disconnect(workers[0]->stream());
  driver_->AdvanceBy(absl::Seconds(20));
  driver_->PauseFor(absl::Hours(1));
  workers[0]->Reconnect();
  EXPECT_THAT(*workers[0], IsOpen());
}

TEST_F(EngineTest, AClockThatStandsStillSendsNobodyAway) {
  const std::vector<EngineWorker*> workers = StartRun(1);
  for (int i = 0; i < 1000; ++i) driver_->PauseFor(absl::ZeroDuration());
  EXPECT_THAT(*workers[0], IsOpen());
}

}  // namespace
}  // namespace tally
