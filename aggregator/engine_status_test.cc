// What an engine tells people.
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/engine_fixture.h"
#include "tests/util/hello_builder.h"

namespace tally {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

// --- Replicas ---

class ReplicaTest : public EngineTest {
 protected:
  // All contribute to the next round of chunk 0, with these digests.
  void PlayRound(const std::vector<uint64_t>& digests) {
    for (size_t i = 0; i < digests.size(); ++i) {
      TestContribution contribution = workers_[i]->Contribution(0, 1);
      contribution.message.set_replica_digest(digests[i]);
      workers_[i]->Send(contribution);
    }
  }
  std::vector<std::string> Drifted() {
    const auto& names = workers_[0]->Newest(0)->message.advice().drifted();
    return {names.begin(), names.end()};
  }
};

TEST_F(ReplicaTest, WhoDiffersFromMostIsNamed) {
  StartRun(4);
  PlayRound({7, 7, 8, 7});
  EXPECT_THAT(Drifted(), ElementsAre("w-2"));
  EXPECT_THAT(Status().drifted(), ElementsAre("w-2"));
  EXPECT_THAT(driver_->announcements(),
              Contains(HasSubstr("the replicated state of w-2 is another than that of most")));
  PlayRound({0, 0, 0, 0});
  EXPECT_THAT(Drifted(), IsEmpty());
  EXPECT_THAT(Status().drifted(), ElementsAre("w-2")) << "nobody told anything else";
  PlayRound({9, 9, 9, 9});
  EXPECT_THAT(Status().drifted(), IsEmpty());
}

TEST_F(ReplicaTest, WithoutAMajorityAllAreNamed) {
  StartRun(4);
  PlayRound({7, 8, 0, 0});
  EXPECT_THAT(Drifted(), ElementsAre("w-0", "w-1"));
}

}  // namespace
}  // namespace tally
