// An aggregator that is told to go: what ends, what does not begin, who keeps what.
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "aggregator/residual_custody.h"
#include "codecs/exchange.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/engine_driver.h"
#include "tests/util/engine_fixture.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;

class EngineDrainTest : public EngineTest {
 protected:
  // A run of one chunk of 200 elements, of which two rounds of signs are over. The snapshot of the
  // first is in custody.
  std::vector<EngineWorker*> PlaySigns(uint32_t count) {
    std::vector<EngineWorker*> workers;
    for (uint32_t i = 0; i < count; ++i) {
      workers.push_back(&Join(Hello(static_cast<int>(i), count).WithLayout(LayoutOf(200, 256))));
    }
    for (int round = 0; round < 2; ++round) {
      for (EngineWorker* const worker : workers) {
        worker->ContributeAs(0, SignBlocks256(), SignPayload({1.0f}, 200));
      }
    }
    return workers;
  }
  // Who has been sent a snapshot of the second.
  std::vector<EngineWorker*> Custodians(const std::vector<EngineWorker*>& workers) {
    std::vector<EngineWorker*> custodians;
    for (EngineWorker* const worker : workers) {
      const auto& snapshots = worker->inbox().snapshots;
      if (!snapshots.empty() && snapshots.back()->place.round == 1) custodians.push_back(worker);
    }
    return custodians;
  }
};

TEST_F(EngineDrainTest, AResidualGoesIntoCustodyBeforeTheAggregatorGoes) {
  const std::vector<EngineWorker*> workers = PlaySigns(3);
  EXPECT_THAT(Custodians(workers), IsEmpty());
  driver_->StartDraining();
  EXPECT_FALSE(driver_->engine().drained());
  const std::vector<EngineWorker*> custodians = Custodians(workers);
  ASSERT_THAT(custodians, SizeIs(1));
  const auto& snapshots = custodians[0]->inbox().snapshots;
  EXPECT_EQ(snapshots.back()->chain, workers[0]->Newest(0)->chain);
  const size_t num_snapshots = snapshots.size();
  driver_->AdvanceBy(absl::Seconds(1));
  EXPECT_THAT(snapshots, SizeIs(num_snapshots)) << "it is on its way";
  driver_->Acknowledge(custodians[0]->stream(), *snapshots.back());
  EXPECT_TRUE(driver_->engine().drained());
}

TEST_F(EngineDrainTest, ACustodianThatGoesIsReplaced) {
  const std::vector<EngineWorker*> workers = PlaySigns(3);
  driver_->StartDraining();
  const std::vector<EngineWorker*> first = Custodians(workers);
  ASSERT_THAT(first, SizeIs(1));
  driver_->Disconnect(first[0]->stream());
  driver_->AdvanceBy(absl::Milliseconds(200));
  EXPECT_THAT(Custodians(workers), SizeIs(2));
}

TEST_F(EngineDrainTest, WhereNobodyIsLeftThereIsNothingToWaitFor) {
  const std::vector<EngineWorker*> workers = PlaySigns(2);
  driver_->StartDraining();
  for (EngineWorker* const worker : workers) driver_->Disconnect(worker->stream());
  EXPECT_TRUE(driver_->engine().drained());
}

TEST_F(EngineDrainTest, DrainingTellsEverybodyAndTakesNoNewStreams) {
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

TEST_F(EngineDrainTest, DrainingLetsTheRoundUnderWayFinishAndBeginsNoNewOne) {
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
  EXPECT_THAT(*workers[0], IsOpen()) << "it is told to go when the aggregator goes";
  EXPECT_TRUE(driver_->engine().drained());
  EXPECT_EQ(Status().contributions_offered(), 4u);
}

TEST_F(EngineDrainTest, AComputationIsUnderWayUntilItsResultIsOut) {
  driver_->set_compute_at_once(false);
  const std::vector<EngineWorker*> workers = StartRun(1);
  for (const uint32_t chunk : {0, 1}) workers[0]->Contribute(chunk, 1);
  driver_->StartDraining();
  EXPECT_FALSE(driver_->engine().drained());
  EXPECT_EQ(driver_->engine().exchanges_under_way(), 2u);
  driver_->RunTasks();
  EXPECT_TRUE(driver_->engine().drained());
}

TEST_F(EngineDrainTest, ARunThatIsStillFormingDelaysNoDrain) {
  Join(Hello(0, 2));
  driver_->StartDraining();
  EXPECT_TRUE(driver_->engine().drained());
}

// --- Custody ---

TEST_F(EngineDrainTest, ACustodianWhoseStreamBrokeIsSentItsSnapshotAgain) {
  const std::vector<EngineWorker*> workers = PlaySigns(3);
  // The snapshot after the first round, which nobody has acknowledged.
  EngineWorker* custodian = nullptr;
  for (EngineWorker* const worker : workers) {
    if (!worker->inbox().snapshots.empty()) custodian = worker;
  }
  ASSERT_NE(custodian, nullptr);
  const uint64_t chain = custodian->inbox().snapshots[0]->chain;
  driver_->Disconnect(custodian->stream());
  custodian->Reconnect();
  ASSERT_THAT(custodian->inbox().snapshots, SizeIs(1)) << "over its new stream";
  EXPECT_EQ(custodian->inbox().snapshots[0]->chain, chain);
}

TEST_F(EngineDrainTest, ResidualsThatNobodyTakesAreTold) {
  const std::vector<EngineWorker*> workers = PlaySigns(2);
  for (int round = 0; round < 70; ++round) {
    for (EngineWorker* const worker : workers) {
      worker->ContributeAs(0, SignBlocks256(), SignPayload({1.0f}, 200));
    }
  }
  driver_->AdvanceBy(absl::Seconds(2));
  EXPECT_THAT(driver_->announcements(),
              testing::Contains(testing::HasSubstr("the residuals of 1 chunks, the first is 0")));
  ASSERT_FALSE(workers[0]->inbox().notices.empty());
  EXPECT_THAT(workers[0]->inbox().notices.back().unprotected_chunks(), SizeIs(1));
}

// --- Saving ---

class EngineSaveTest : public EngineDrainTest {
 protected:
  // One more round of signs in which so many of the workers save.
  v1::ResultHeader PlaySaving(const std::vector<EngineWorker*>& workers, size_t num_saving) {
    for (size_t i = 0; i < workers.size(); ++i) {
      TestContribution contribution = workers[i]->Contribution(0, 0);
      *contribution.message.mutable_exchange() = EncodeExchange(SignBlocks256());
      contribution.payload = SignPayload({1.0f}, 200);
      contribution.Sign();
      contribution.message.set_save(i < num_saving);
      workers[i]->Send(contribution);
    }
    v1::ResultHeader header;
    EXPECT_TRUE(header.ParseFromString(workers[0]->Newest(0)->message.header()));
    return header;
  }
};

TEST_F(EngineSaveTest, AResidualGoesIntoCustodyWhereMostSave) {
  const std::vector<EngineWorker*> workers = PlaySigns(3);
  const v1::ResultHeader header = PlaySaving(workers, 2);
  EXPECT_EQ(header.round(), 2u);
  EXPECT_TRUE(header.save());
  EXPECT_TRUE(header.snapshot());
}

TEST_F(EngineSaveTest, OneWorkerAloneMovesNoResidual) {
  const v1::ResultHeader header = PlaySaving(PlaySigns(3), 1);
  EXPECT_EQ(header.round(), 2u);
  EXPECT_FALSE(header.save());
  EXPECT_FALSE(header.snapshot());
}

}  // namespace
}  // namespace tally
