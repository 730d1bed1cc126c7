#include "aggregator/engine.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/engine_driver.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;

MATCHER(IsOpen, "is open") { return !arg.closed().has_value(); }

EngineOptions Options() {
  EngineOptions options{.name = "agg-0"};
  options.instance.set_start_us(123);
  options.instance.set_random(456);
  return options;
}

Layout LayoutOf(uint64_t num_elements, uint32_t chunk_elements) {
  absl::StatusOr<Layout> layout = Layout::Create({{"weights", num_elements}}, chunk_elements);
  EXPECT_THAT(layout, IsOk());
  return *std::move(layout);
}

// Jobs of which each worker contributes one value to all elements.
class EngineTest : public testing::Test {
 protected:
  EngineTest() { Restart(Options()); }

  void Restart(EngineOptions options) {
    workers_.clear();
    driver_ = std::make_unique<EngineDriver>(std::move(options));
  }

  // Worker w-<index> of a job of `expected` workers.
  HelloBuilder Hello(int index, uint32_t expected) const {
    HelloBuilder builder;
    builder.Worker(absl::StrCat("w-", index), 100 + static_cast<uint64_t>(index))
        .ExpectedWorkers(expected);
    return builder;
  }

  // The reference lives as long as the test.
  EngineWorker& Join(const HelloBuilder& hello) {
    workers_.push_back(std::make_unique<EngineWorker>(driver_.get(), hello.Build()));
    return *workers_.back();
  }

  // A run of `count` workers that has started.
  std::vector<EngineWorker*> StartRun(uint32_t count) {
    std::vector<EngineWorker*> workers;
    for (uint32_t i = 0; i < count; ++i) {
      workers.push_back(&Join(Hello(static_cast<int>(i), count)));
    }
    return workers;
  }

  v1::JobStatus Status() const { return driver_->OnlyJob(); }

  std::unique_ptr<EngineDriver> driver_;
  std::vector<std::unique_ptr<EngineWorker>> workers_;
};

// --- Start ---

TEST_F(EngineTest, WelcomesWithItsNameLifeAndLimits) {
  Restart({.name = "agg-0",
           .instance = Options().instance,
           .window_chunks = 5,
           .silence_limit = absl::Milliseconds(2500)});
  const EngineWorker& worker = Join(Hello(0, 2));
  ASSERT_TRUE(worker.inbox().welcome.has_value());
  const v1::Welcome& welcome = *worker.inbox().welcome;
  EXPECT_EQ(welcome.aggregator(), "agg-0");
  EXPECT_EQ(welcome.instance().start_us(), 123u);
  EXPECT_EQ(welcome.instance().random(), 456u);
  EXPECT_EQ(welcome.verdict(), v1::Welcome::VERDICT_MEMBER);
  EXPECT_EQ(welcome.window_chunks(), 5u);
  EXPECT_EQ(welcome.silence_limit().seconds(), 2);
  EXPECT_EQ(welcome.silence_limit().nanos(), 500'000'000);
}

TEST_F(EngineTest, StartsWhenAllExpectedAreHere) {
  EngineWorker& first = Join(Hello(0, 2));
  EXPECT_THAT(first.inbox().results, IsEmpty());
  EngineWorker& second = Join(Hello(1, 2));
  for (EngineWorker* const worker : {&first, &second}) {
    ASSERT_THAT(worker->inbox().results, SizeIs(2)) << "a genesis per chunk";
    EXPECT_EQ(worker->inbox().results[0]->message.chunk(), 0u);
    EXPECT_EQ(worker->inbox().results[1]->message.chunk(), 1u);
  }
  EXPECT_EQ(first.Newest(0), second.Newest(0));
}

TEST_F(EngineTest, StartsAfterTheTimeoutWithMoreThanHalf) {
  EngineWorker& first = Join(Hello(0, 4).StartTimeout(absl::Seconds(10)));
  Join(Hello(1, 4).StartTimeout(absl::Seconds(10)));
  driver_->AdvanceBy(absl::Seconds(30));
  EXPECT_EQ(first.Newest(0), nullptr) << "two of four are not more than half";
  Join(Hello(2, 4).StartTimeout(absl::Seconds(10)));
  ASSERT_NE(first.Newest(0), nullptr);
  EXPECT_EQ(Status().members_size(), 3);
}

TEST_F(EngineTest, WaitsForTheTimeoutThoughMoreThanHalfAreHere) {
  EngineWorker& first = Join(Hello(0, 3).StartTimeout(absl::Seconds(10)));
  Join(Hello(1, 3).StartTimeout(absl::Seconds(10)));
  driver_->AdvanceBy(absl::Milliseconds(9900));
  EXPECT_EQ(first.Newest(0), nullptr);
  driver_->AdvanceBy(absl::Milliseconds(100));
  EXPECT_NE(first.Newest(0), nullptr);
}

TEST_F(EngineTest, WithoutATimeoutWaitsForAll) {
  EngineWorker& first = Join(Hello(0, 3));
  Join(Hello(1, 3));
  for (int minute = 0; minute < 10; ++minute) {
    driver_->AdvanceBy(absl::Seconds(20));
    for (const auto& worker : workers_) driver_->Heartbeat(worker->stream());
  }
  EXPECT_EQ(first.Newest(0), nullptr);
}

TEST_F(EngineTest, WhoDisconnectsBeforeTheStartWasNeverHere) {
  EngineWorker& early = Join(Hello(0, 3));
  driver_->Disconnect(Join(Hello(7, 3)).stream());
  Join(Hello(1, 3));
  EXPECT_EQ(early.Newest(0), nullptr);
  Join(Hello(2, 3));
  EXPECT_NE(early.Newest(0), nullptr);
  EXPECT_EQ(Status().members(2).member().worker(), "w-2");
}

TEST_F(EngineTest, ARunThatNobodyWaitsForAnyMoreIsForgotten) {
  driver_->Disconnect(Join(Hello(0, 2)).stream());
  EXPECT_EQ(driver_->engine().Status("", driver_->now()).admitted_bytes(), 0u);
  EXPECT_THAT(Join(Hello(0, 2).Job("job", 8)), IsOpen()) << "another run may start";
}

TEST_F(EngineTest, ARunThatHasNoChunksHereLivesWithoutThem) {
  // Chunks 0 and 1 live on the first two aggregators.
  Restart({.name = "agg-2"});
  const std::vector<std::string> names = {"agg-0", "agg-1", "agg-2"};
  EngineWorker& worker = Join(Hello(0, 1).Aggregators(names, 2));
  driver_->AdvanceBy(absl::Seconds(5));
  EXPECT_THAT(worker, IsOpen());
  EXPECT_THAT(worker.inbox().results, IsEmpty());
  EXPECT_THAT(worker.inbox().notices, IsEmpty());
  EXPECT_EQ(Status().reason(), "running");
}

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

TEST_F(EngineTest, RefusesMoreThanTheExpectedWorkersOnceTheRunHasStarted) {
  StartRun(2);
  EXPECT_THAT(Join(Hello(2, 2)).closed(),
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
  EXPECT_THAT(old_one.closed(), Optional(StatusIs(absl::StatusCode::kAborted)));
  EXPECT_THAT(Join(Hello(0, 2).Worker("w-0", 9)).closed(),
              Optional(StatusIs(absl::StatusCode::kAborted,
                                HasSubstr("`member.incarnation` = 9, must be the newest of worker "
                                          "`w-0`, 11"))));
  Join(Hello(1, 2));
  EXPECT_NE(new_one.Newest(0), nullptr);
}

TEST_F(EngineTest, ARunningWorkerKeepsItsIncarnation) {
  StartRun(2);
  EXPECT_THAT(Join(Hello(0, 2).Worker("w-0", 101)).closed(),
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
  Restart({.name = "agg-0", .memory_limit_bytes = admitted + admitted / 2});
  EngineWorker& first = Join(Hello(0, 1));
  EXPECT_THAT(Join(Hello(0, 1).Job("other", 1)).closed(),
              Optional(StatusIs(absl::StatusCode::kResourceExhausted)));
  driver_->Leave(first.stream());
  EXPECT_THAT(Join(Hello(0, 1).Job("other", 1)), IsOpen());
}

// --- Rounds ---

TEST_F(EngineTest, EverybodyGetsTheSameResult) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  workers[2]->Contribute(0, 9);
  workers[0]->Contribute(0, 1);
  workers[1]->Contribute(0, 2);
  for (EngineWorker* const worker : workers) {
    EXPECT_EQ(worker->NewestValue(0), 4);
    EXPECT_EQ(worker->Newest(0), workers[0]->Newest(0));
  }
}

TEST_F(EngineTest, ChunksGoOnByThemselves) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  for (const uint64_t round : {0, 1}) {
    for (EngineWorker* const worker : workers) worker->Contribute(1, 1);
    EXPECT_EQ(workers[0]->Newest(1)->place.round, round);
  }
  workers[0]->Contribute(0, 1);
  workers[1]->Contribute(0, 3);
  EXPECT_EQ(workers[1]->NewestValue(0), 2);
}

TEST_F(EngineTest, TwoJobsRunAtOnceAndNeitherHearsOfTheOther) {
  EngineWorker& a = Join(Hello(0, 1).Job("a", 1));
  EngineWorker& b = Join(Hello(0, 1).Job("b", 1));
  a.Contribute(0, 1);
  b.Contribute(0, 2);
  a.Contribute(0, 3);
  EXPECT_EQ(a.NewestValue(0), 3);
  EXPECT_EQ(b.NewestValue(0), 2);
  EXPECT_THAT(a.inbox().results, SizeIs(4));
  EXPECT_THAT(b.inbox().results, SizeIs(3));
  driver_->Leave(a.stream());
  b.Contribute(0, 5);
  EXPECT_EQ(b.NewestValue(0), 5);
}

TEST_F(EngineTest, ARepeatIsAnsweredAndNeverSummedTwice) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  const TestContribution contribution = workers[0]->Contribution(0, 1);
  workers[0]->Send(contribution);
  workers[0]->Send(contribution);
  EXPECT_THAT(*workers[0], IsOpen());
  workers[1]->Contribute(0, 3);
  EXPECT_EQ(workers[0]->NewestValue(0), 2);
  const auto result = workers[0]->Newest(0);
  const size_t num_results = workers[0]->inbox().results.size();

  workers[0]->Send(contribution);
  EXPECT_THAT(workers[0]->inbox().results, SizeIs(num_results + 1));
  EXPECT_EQ(workers[0]->inbox().results.back(), result);
  EXPECT_THAT(workers[1]->inbox().results, SizeIs(num_results)) << "only who asks is answered";
  EXPECT_EQ(Status().contributions_offered(), 2u);
  EXPECT_EQ(Status().contributions_counted(), 2u);
}

TEST_F(EngineTest, OtherBytesForTheSameRoundCloseTheStreamAndCountNothing) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  workers[0]->Contribute(0, 1);
  workers[0]->Contribute(0, 100);
  EXPECT_THAT(workers[0]->closed(), Optional(StatusIs(absl::StatusCode::kAlreadyExists)));
  workers[1]->Contribute(0, 3);
  EXPECT_EQ(workers[1]->NewestValue(0), 2) << "the first contribution stands";
}

TEST_F(EngineTest, AMinoritysExchangeIsRefusedAndTheRoundGoesOn) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  workers[0]->ContributeAs(0, SignBlocks256(), SignPayload({1, 1}, 512));
  workers[1]->Contribute(0, 2);
  workers[2]->Contribute(0, 4);
  EXPECT_THAT(workers[0]->closed(), Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                                      HasSubstr("which most workers sent"))));
  EXPECT_EQ(workers[1]->NewestValue(0), 3);
  EXPECT_EQ(Status().contributions_refused(), 1u);
  workers[0]->Reconnect();
  EXPECT_EQ(workers[0]->NewestValue(0), 3) << "its chance to go on with the others";
}

TEST_F(EngineTest, ATieStopsTheJobWithBothExchanges) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  workers[0]->ContributeAs(0, SignBlocks256(), SignPayload({1, 1}, 512));
  workers[1]->Contribute(0, 2);
  for (EngineWorker* const worker : workers) {
    EXPECT_THAT(
        worker->closed(),
        Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                          HasSubstr("sign(RMS, block 256) by w-0; dense(FLOAT32) by w-1"))));
  }
  EXPECT_EQ(driver_->engine().Status("", driver_->now()).jobs_size(), 0);
  EXPECT_THAT(Join(Hello(0, 1).Job("job", 8)), IsOpen());
}

TEST_F(EngineTest, AComputationThatFailsStopsItsJobOnly) {
  EngineWorker& other = Join(Hello(0, 1).Job("other", 1));
  EngineWorker& worker = Join(Hello(0, 1));
  driver_->set_compute_at_once(false);
  worker.Contribute(0, 1);
  driver_->FailTask(absl::InternalError("kernel"));
  EXPECT_THAT(worker.closed(), Optional(StatusIs(absl::StatusCode::kInternal, "kernel")));
  EXPECT_THAT(other, IsOpen());
  EXPECT_EQ(Status().job(), "other");
}

TEST_F(EngineTest, AnOutcomeOfARunThatIsOverIsDropped) {
  driver_->set_compute_at_once(false);
  EngineWorker& worker = Join(Hello(0, 1));
  worker.Contribute(0, 1);
  driver_->Leave(worker.stream());
  driver_->Disconnect(worker.stream());
  EngineWorker& next = Join(Hello(0, 1));
  driver_->RunTasks();
  EXPECT_THAT(next.inbox().results, SizeIs(2)) << "the genesis of its own run";
}

TEST_F(EngineTest, RefusesChunksPastTheWindow) {
  Restart({.name = "agg-0", .window_chunks = 2});
  const Layout layout = LayoutOf(256 * 4, 256);
  EngineWorker& first = Join(Hello(0, 2).WithLayout(layout));
  EngineWorker& second = Join(Hello(1, 2).WithLayout(layout));
  first.Contribute(0, 1);
  first.Contribute(1, 1);
  EXPECT_THAT(first, IsOpen());
  second.Contribute(0, 1);
  first.Contribute(2, 1);
  EXPECT_THAT(first, IsOpen()) << "the window has moved on";
  first.Contribute(3, 1);
  EXPECT_THAT(first.closed(),
              Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("chunk 3, round 0: `chunk` must be within 2 chunks of "
                                          "this aggregator past the lowest incomplete one, chunk "
                                          "1 of round 0"))));
}

TEST_F(EngineTest, TheWindowReachesIntoTheNextRound) {
  Restart({.name = "agg-0", .window_chunks = 2});
  const Layout layout = LayoutOf(256 * 3, 256);
  EngineWorker& first = Join(Hello(0, 2).WithLayout(layout));
  EngineWorker& second = Join(Hello(1, 2).WithLayout(layout));
  for (const uint32_t chunk : {0, 1}) {
    first.Contribute(chunk, 1);
    second.Contribute(chunk, 1);
  }
  first.Contribute(0, 1);  // of round 1; chunk 2 of round 0 is the lowest incomplete one
  EXPECT_THAT(first, IsOpen());
  first.Contribute(1, 1);
  EXPECT_THAT(first.closed(), Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                                HasSubstr("chunk 2 of round 0"))));
}

TEST_F(EngineTest, WindowsCountTheChunksOfThisAggregatorOnly) {
  Restart({.name = "agg-1", .window_chunks = 2});
  const Layout layout = LayoutOf(256 * 8, 256);
  const std::vector<std::string> names = {"agg-0", "agg-1"};
  EngineWorker& first = Join(Hello(0, 2).WithLayout(layout).Aggregators(names, 1));
  Join(Hello(1, 2).WithLayout(layout).Aggregators(names, 1));
  first.Contribute(1, 1);
  first.Contribute(3, 1);
  EXPECT_THAT(first, IsOpen());
  first.Contribute(5, 1);
  EXPECT_THAT(first.closed(), Optional(StatusIs(absl::StatusCode::kFailedPrecondition)));
}

TEST_F(EngineTest, AContributionBeforeTheStartClosesItsStream) {
  EngineWorker& worker = Join(Hello(0, 2));
  worker.Send(MakeContribution(worker.hello(), 0, 0, 0, DenseFloat32(),
                               DensePayload(std::vector<float>(512, 1))));
  EXPECT_THAT(worker.closed(),
              Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("`round` must wait until the run has started"))));
}

// --- Streams that break ---

TEST_F(EngineTest, AWorkerThatComesBackGetsTheResultThatItMissed) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  workers[0]->Contribute(0, 1);
  driver_->Disconnect(workers[0]->stream());
  workers[1]->Contribute(0, 3);
  EXPECT_EQ(workers[0]->Newest(0)->payload, nullptr) << "it has the genesis only";
  workers[0]->Reconnect();
  ASSERT_THAT(workers[0]->inbox().results, SizeIs(1)) << "of the other chunk it misses none";
  EXPECT_EQ(workers[0]->NewestValue(0), 2);
  for (EngineWorker* const worker : workers) worker->Contribute(0, 5);
  EXPECT_EQ(workers[0]->NewestValue(0), 5);
}

TEST_F(EngineTest, AWorkerThatMissedTheGenesisGetsItWhenItComesBack) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  driver_->Disconnect(workers[0]->stream());
  EngineWorker& again = Join(Hello(0, 2).Intent(v1::INTENT_MEMBER));
  ASSERT_THAT(again.inbox().results, SizeIs(2));
  EXPECT_EQ(again.Newest(0), workers[1]->Newest(0));
}

TEST_F(EngineTest, ANewStreamOfAWorkerTakesTheOldOnesPlace) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  workers[0]->Contribute(0, 1);
  const StreamId old_stream = workers[0]->stream();
  workers[0]->Reconnect();
  EXPECT_THAT(driver_->inbox(old_stream).closed,
              Optional(StatusIs(absl::StatusCode::kAborted,
                                HasSubstr("worker `w-0` has opened another stream"))));
  driver_->Disconnect(old_stream);
  workers[1]->Contribute(0, 3);
  EXPECT_EQ(workers[0]->NewestValue(0), 2) << "the contribution of the old stream stands";
}

TEST_F(EngineTest, WhatComesFromAClosedStreamIsDropped) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  const StreamId stream = workers[0]->stream();
  const TestContribution contribution = workers[0]->Contribution(0, 1);
  driver_->Disconnect(stream);
  driver_->Contribute(stream, contribution);
  driver_->Heartbeat(stream);
  driver_->Leave(stream);
  EXPECT_EQ(Status().contributions_offered(), 0u);
  EXPECT_FALSE(Status().members(0).connected());
}

TEST_F(EngineTest, RefusesAForkedHistory) {
  StartRun(2);
  EXPECT_THAT(Join(Hello(0, 2).Intent(v1::INTENT_MEMBER).Head(0, 0, 0xbad)).closed(),
              Optional(StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("`chunks[0].head` = round 0, chain bad, must be in this "
                                          "aggregator's history"))));
}

TEST_F(EngineTest, AnOffenceClosesItsStreamAndTheWorkerMayComeBack) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  workers[1]->Contribute(0, 3);
  driver_->Offend(workers[0]->stream(), absl::InvalidArgumentError("garbage"));
  EXPECT_THAT(workers[0]->closed(),
              Optional(StatusIs(absl::StatusCode::kInvalidArgument, "garbage")));
  EXPECT_THAT(*workers[1], IsOpen());
  workers[0]->Reconnect();
  workers[0]->Contribute(0, 1);
  EXPECT_EQ(workers[1]->NewestValue(0), 2);
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

// --- The end of a run ---

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

TEST_F(EngineTest, WhoLeavesAloneIsNamedAsWhatTheOthersWaitFor) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  driver_->Leave(workers[0]->stream());
  driver_->Disconnect(workers[0]->stream());
  workers[1]->Contribute(0, 1);
  driver_->AdvanceBy(absl::Seconds(2));
  EXPECT_EQ(Status().reason(),
            "round 0, chunk 0: waiting for worker `w-0`, which has left; 1 of 2 arrived in 2.0 s");
}

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
  for (int i = 0; i < 60; ++i) {
    driver_->AdvanceBy(absl::Seconds(10));
    for (EngineWorker* const worker : workers) driver_->Heartbeat(worker->stream());
  }
  for (EngineWorker* const worker : workers) EXPECT_THAT(*worker, IsOpen());
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

// --- What people are told ---

TEST_F(EngineTest, TellsWhyARunHasNotStarted) {
  EngineWorker& worker = Join(Hello(0, 3));
  Join(Hello(2, 3));
  driver_->AdvanceBy(absl::Milliseconds(900));
  EXPECT_THAT(worker.inbox().notices, IsEmpty());
  driver_->AdvanceBy(absl::Milliseconds(600));
  ASSERT_THAT(worker.inbox().notices, SizeIs(1));
  EXPECT_EQ(worker.inbox().notices[0].reason(),
            "run 7 has not started: 2 of 3 workers are here (w-0, w-2) after 1.0 s");
  EXPECT_EQ(Status().reason(),
            "run 7 has not started: 2 of 3 workers are here (w-0, w-2) after 1.5 s");
}

TEST_F(EngineTest, TellsWhomARoundWaitsFor) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  driver_->Heartbeat(workers[1]->stream());
  driver_->AdvanceBy(absl::Milliseconds(300));
  workers[0]->Contribute(0, 1);
  workers[2]->Contribute(0, 1);
  driver_->AdvanceBy(absl::Milliseconds(900));
  EXPECT_EQ(Status().reason(),
            "round 0, chunk 0: waiting for worker `w-1`, silent for 1.2 s; 2 of 3 arrived in 1.2 "
            "s");
  driver_->Disconnect(workers[1]->stream());
  EXPECT_EQ(Status().reason(),
            "round 0, chunk 0: waiting for worker `w-1`, disconnected and silent for 1.2 s; 2 of 3 "
            "arrived in 1.2 s");
}

TEST_F(EngineTest, NamesTheFirstFewOfMany) {
  const std::vector<EngineWorker*> workers = StartRun(7);
  workers[0]->Contribute(0, 1);
  driver_->AdvanceBy(absl::Seconds(1));
  EXPECT_EQ(Status().reason(),
            "round 0, chunk 0: waiting for workers `w-1`, silent for 1.0 s; `w-2`, silent for 1.0 "
            "s; `w-3`, silent for 1.0 s; `w-4`, silent for 1.0 s; 2 more; 1 of 7 arrived in 1.0 s");
}

TEST_F(EngineTest, RepeatsItsNoticeOnceASecondToEverybodyConnected) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  workers[0]->Contribute(0, 1);
  driver_->AdvanceBy(absl::Milliseconds(3500));
  EXPECT_THAT(workers[0]->inbox().notices, SizeIs(3));
  EXPECT_THAT(workers[1]->inbox().notices, SizeIs(3));
}

TEST_F(EngineTest, SaysNothingWhileRoundsFollowEachOther) {
  const std::vector<EngineWorker*> workers = StartRun(1);
  for (int i = 0; i < 20; ++i) {
    for (const uint32_t chunk : {0, 1}) workers[0]->Contribute(chunk, 1);
    driver_->AdvanceBy(absl::Milliseconds(500));
  }
  EXPECT_THAT(workers[0]->inbox().notices, IsEmpty());
  EXPECT_EQ(Status().reason(), "running");
}

TEST_F(EngineTest, StatusShowsTheLaggingChunksOnly) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  EXPECT_EQ(Status().chunks_size(), 2);
  for (EngineWorker* const worker : workers) worker->Contribute(0, 1);
  workers[1]->Contribute(1, 1);
  driver_->AdvanceBy(absl::Milliseconds(700));
  const v1::JobStatus status = Status();
  EXPECT_EQ(status.num_chunks(), 2u);
  ASSERT_EQ(status.chunks_size(), 1);
  EXPECT_EQ(status.chunks(0).chunk(), 1u);
  EXPECT_EQ(status.chunks(0).phase(), v1::CHUNK_PHASE_OPEN);
  EXPECT_EQ(status.chunks(0).round(), 0u);
  EXPECT_EQ(status.chunks(0).arrived(), 1u);
  EXPECT_EQ(status.chunks(0).roster_size(), 2u);
  EXPECT_THAT(status.chunks(0).waiting_for(), ElementsAre("w-0"));
  EXPECT_EQ(status.chunks(0).waiting_since().nanos(), 700'000'000);
}

TEST_F(EngineTest, StatusNamesThePhases) {
  Join(Hello(0, 2));
  EXPECT_EQ(Status().chunks(0).phase(), v1::CHUNK_PHASE_FORMING);
  Join(Hello(1, 2));
  EXPECT_EQ(Status().chunks(0).phase(), v1::CHUNK_PHASE_OPEN);
  driver_->set_compute_at_once(false);
  for (const auto& worker : workers_) worker->Contribute(0, 1);
  EXPECT_EQ(Status().chunks(0).phase(), v1::CHUNK_PHASE_SEALED);
}

TEST_F(EngineTest, StatusOfOneJobOrOfNone) {
  Join(Hello(0, 1).Job("a", 1));
  Join(Hello(0, 1).Job("b", 1));
  EXPECT_EQ(driver_->engine().Status("", driver_->now()).jobs_size(), 2);
  ASSERT_EQ(driver_->engine().Status("b", driver_->now()).jobs_size(), 1);
  EXPECT_EQ(driver_->engine().Status("b", driver_->now()).jobs(0).job(), "b");
  EXPECT_EQ(driver_->engine().Status("c", driver_->now()).jobs_size(), 0);
}

TEST_F(EngineTest, OfferedIsCountedPlusAbstainedPlusRefusedPlusPending) {
  const std::vector<EngineWorker*> workers = StartRun(3);
  struct Counts {
    uint64_t offered, counted, abstained, refused, pending;
  };
  const auto expect = [&](const char* when, const Counts& counts) {
    SCOPED_TRACE(when);
    const v1::JobStatus status = Status();
    EXPECT_EQ(status.contributions_offered(), counts.offered);
    EXPECT_EQ(status.contributions_counted(), counts.counted);
    EXPECT_EQ(status.contributions_abstained(), counts.abstained);
    EXPECT_EQ(status.contributions_refused(), counts.refused);
    EXPECT_EQ(status.contributions_pending(), counts.pending);
    EXPECT_EQ(status.contributions_late(), 0u);
    EXPECT_EQ(counts.offered, counts.counted + counts.abstained + counts.refused + counts.pending);
  };
  expect("at first", {0, 0, 0, 0, 0});
  workers[0]->Contribute(0, 1);
  workers[1]->Abstain(0);
  expect("staged", {2, 0, 1, 0, 1});
  workers[2]->Contribute(0, 1);
  expect("sealed", {3, 2, 1, 0, 0});
  workers[0]->Contribute(0, 1);
  workers[0]->Contribute(0, 1);
  expect("repeated", {4, 2, 1, 0, 1});
  workers[0]->Contribute(0, 2);
  expect("contradicted", {5, 2, 1, 1, 1});
  workers[0]->Reconnect();
  workers[1]->ContributeAs(0, SignBlocks256(), SignPayload({1, 1}, 512));
  expect("of another exchange", {6, 2, 1, 1, 2});
  workers[2]->Contribute(0, 1);
  expect("sealed without the minority", {7, 4, 1, 2, 0});
  for (EngineWorker* const worker : {workers[0], workers[2]}) worker->Abstain(1);
  expect("abstained", {9, 4, 3, 2, 0});
}

// --- Draining ---

TEST_F(EngineTest, DrainingTellsEverybodyAndTakesNoNewStreams) {
  const std::vector<EngineWorker*> workers = StartRun(1);
  EXPECT_FALSE(driver_->engine().drained());
  driver_->StartDraining();
  ASSERT_THAT(workers[0]->inbox().notices, SizeIs(1));
  EXPECT_TRUE(workers[0]->inbox().notices[0].draining());
  EXPECT_TRUE(driver_->engine().Status("", driver_->now()).draining());
  EXPECT_THAT(Join(Hello(0, 1).Job("other", 1)).closed(),
              Optional(StatusIs(absl::StatusCode::kUnavailable,
                                "aggregator `agg-0` is draining and takes no new streams")));
}

TEST_F(EngineTest, DrainingLetsTheRoundUnderWayFinishAndBeginsNoNewOne) {
  const std::vector<EngineWorker*> workers = StartRun(2);
  workers[0]->Contribute(0, 1);
  driver_->StartDraining();
  EXPECT_FALSE(driver_->engine().drained());
  EXPECT_EQ(driver_->engine().exchanges_under_way(), 1u);
  workers[1]->Contribute(0, 3);
  EXPECT_EQ(workers[0]->NewestValue(0), 2);
  EXPECT_FALSE(driver_->engine().drained()) << "the round's other chunk is still to come";
  for (EngineWorker* const worker : workers) worker->Contribute(1, 1);
  EXPECT_TRUE(driver_->engine().drained());
  EXPECT_EQ(driver_->engine().exchanges_under_way(), 0u);

  workers[0]->Contribute(0, 1);
  EXPECT_THAT(workers[0]->closed(),
              Optional(StatusIs(absl::StatusCode::kUnavailable,
                                "aggregator `agg-0` is draining and begins no new rounds")));
  EXPECT_THAT(*workers[1], IsOpen());
  EXPECT_TRUE(driver_->engine().drained());
}

TEST_F(EngineTest, AComputationIsUnderWayUntilItsResultIsOut) {
  driver_->set_compute_at_once(false);
  const std::vector<EngineWorker*> workers = StartRun(1);
  for (const uint32_t chunk : {0, 1}) workers[0]->Contribute(chunk, 1);
  driver_->StartDraining();
  EXPECT_FALSE(driver_->engine().drained());
  EXPECT_EQ(driver_->engine().exchanges_under_way(), 2u);
  driver_->RunTasks();
  EXPECT_TRUE(driver_->engine().drained());
}

TEST_F(EngineTest, ARunThatIsStillFormingDelaysNoDrain) {
  Join(Hello(0, 2));
  driver_->StartDraining();
  EXPECT_TRUE(driver_->engine().drained());
}

}  // namespace
}  // namespace tally
