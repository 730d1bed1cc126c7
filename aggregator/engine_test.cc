#include "aggregator/engine.h"

#include <string>
#include <vector>

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

}  // namespace
}  // namespace tally
