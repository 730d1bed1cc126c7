// Exchanges that close without members whose contributions are late.
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/engine_driver.h"
#include "tests/util/engine_fixture.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Five workers and one chunk; one may be late, by at most ten seconds.
class EngineStragglersTest : public EngineTest {
 protected:
  EngineStragglersTest() {
    for (int i = 0; i < 5; ++i) members_.push_back(&Join(StragglerHello(i)));
  }

  HelloBuilder StragglerHello(int index) const {
    return Hello(index, 5).WithLayout(LayoutOf(200, 256)).MaxLate(1, absl::Seconds(10));
  }

  // All but `late` contribute, 10 ms after each other.
  void ContributeAllBut(int late) {
    for (int i = 0; i < 5; ++i) {
      if (i == late) continue;
      members_[static_cast<size_t>(i)]->Contribute(0, 1);
      driver_->PauseFor(absl::Milliseconds(10));
    }
  }
  // Rounds in which everybody is there in time.
  void PlayPromptRounds(int count) {
    for (int round = 0; round < count; ++round) ContributeAllBut(-1);
  }

  uint64_t newest_round() { return members_[0]->Newest(0)->place.round; }
  v1::ResultHeader NewestHeader() {
    v1::ResultHeader header;
    EXPECT_TRUE(header.ParseFromString(members_[0]->Newest(0)->message.header()));
    return header;
  }
  std::vector<std::string> late() {
    const auto& names = members_[0]->Newest(0)->message.advice().late();
    return {names.begin(), names.end()};
  }

  std::vector<EngineWorker*> members_;
};

TEST_F(EngineStragglersTest, BeforeArrivalsAreKnownTheLateAreWaitedForAsLongAsMayBe) {
  ContributeAllBut(4);
  driver_->AdvanceBy(absl::Milliseconds(9'800));
  EXPECT_EQ(newest_round(), ~uint64_t{0}) << "the genesis";
  driver_->AdvanceBy(absl::Milliseconds(300));
  ASSERT_EQ(newest_round(), 0u);
  EXPECT_EQ(NewestHeader().participants(), "\x0f");
  EXPECT_THAT(late(), ElementsAre("w-4"));
  EXPECT_THAT(NewestHeader().returned(), IsEmpty());
}

TEST_F(EngineStragglersTest, ThenForNoLongerThanIsUsual) {
  PlayPromptRounds(5);
  const uint64_t round = newest_round();
  ContributeAllBut(4);
  EXPECT_EQ(newest_round(), round);
  driver_->AdvanceBy(absl::Milliseconds(200));
  EXPECT_EQ(newest_round(), round + 1);
}

TEST_F(EngineStragglersTest, NobodyIsLateBeforeAllButOneAreThere) {
  PlayPromptRounds(5);
  const uint64_t round = newest_round();
  for (const size_t i : {0u, 1u, 2u}) members_[i]->Contribute(0, 1);
  driver_->AdvanceBy(absl::Seconds(60));
  EXPECT_EQ(newest_round(), round);
}

TEST_F(EngineStragglersTest, WhoComesInTimeCounts) {
  PlayPromptRounds(5);
  ContributeAllBut(4);
  members_[4]->Contribute(0, 1);
  EXPECT_EQ(NewestHeader().participants(), "\x1f");
  EXPECT_THAT(late(), IsEmpty());
}

TEST_F(EngineStragglersTest, ALateContributionIsCountedAsLateAndHarmsNothing) {
  PlayPromptRounds(5);
  const TestContribution too_late = members_[4]->Contribution(0, 1);
  ContributeAllBut(4);
  driver_->AdvanceBy(absl::Seconds(1));
  members_[4]->Send(too_late);
  EXPECT_THAT(*members_[4], IsOpen());
  EXPECT_EQ(Status().contributions_late(), 1u);
  EXPECT_EQ(Status().contributions_pending(), 0u);
  members_[4]->Contribute(0, 1);
  ContributeAllBut(4);
  EXPECT_EQ(NewestHeader().participants(), "\x1f");
}

TEST_F(EngineStragglersTest, ALateOneThatComesWhileTheResultIsComputedIsLate) {
  PlayPromptRounds(5);
  driver_->set_compute_at_once(false);
  ContributeAllBut(4);
  driver_->AdvanceBy(absl::Seconds(1));
  ASSERT_EQ(driver_->num_tasks(), 1u);
  members_[4]->Contribute(0, 1);
  driver_->RunTasks();
  EXPECT_EQ(NewestHeader().participants(), "\x0f");
  EXPECT_EQ(Status().contributions_late(), 1u);
  EXPECT_EQ(Status().contributions_pending(), 0u);
}

TEST_F(EngineStragglersTest, ManyWhoAreLateMakeRoundsWaitLonger) {
  PlayPromptRounds(5);
  // All say that they were ready two seconds too late, as they do after a change of their load.
  v1::Heartbeat heartbeat;
  heartbeat.mutable_late_by()->set_seconds(2);
  for (int i = 0; i < 30; ++i) {
    for (EngineWorker* const member : members_) driver_->Heartbeat(member->stream(), heartbeat);
    PlayPromptRounds(1);
  }
  const uint64_t round = newest_round();
  ContributeAllBut(4);
  driver_->AdvanceBy(absl::Milliseconds(1'500));
  EXPECT_EQ(newest_round(), round);
  driver_->AdvanceBy(absl::Milliseconds(800));
  EXPECT_EQ(newest_round(), round + 1);
}

TEST_F(EngineStragglersTest, OneWorkerCannotMakeRoundsWaitLonger) {
  PlayPromptRounds(5);
  v1::Heartbeat heartbeat;
  heartbeat.mutable_late_by()->set_seconds(2'000'000);
  for (int i = 0; i < 200; ++i) driver_->Heartbeat(members_[0]->stream(), heartbeat);
  const uint64_t round = newest_round();
  ContributeAllBut(4);
  driver_->AdvanceBy(absl::Milliseconds(200));
  EXPECT_EQ(newest_round(), round + 1);
}

TEST_F(EngineStragglersTest, WhoMissesTooMuchIsWaitedForOnceMoreAndThenReturned) {
  PlayPromptRounds(5);
  for (int i = 0; i < kMaxMisses; ++i) {
    ContributeAllBut(4);
    driver_->AdvanceBy(absl::Milliseconds(200));
    EXPECT_THAT(NewestHeader().returned(), IsEmpty());
  }
  const uint64_t round = newest_round();
  ContributeAllBut(4);
  driver_->AdvanceBy(absl::Milliseconds(9'000));
  EXPECT_EQ(newest_round(), round) << "its last chance";
  driver_->AdvanceBy(absl::Milliseconds(1'200));
  ASSERT_EQ(newest_round(), round + 1);
  ASSERT_EQ(NewestHeader().returned_size(), 1);
  EXPECT_EQ(NewestHeader().returned(0).worker(), "w-4");
  EXPECT_THAT(*members_[4], IsOpen()) << "it goes on watching";
  ContributeAllBut(4);
  EXPECT_EQ(newest_round(), round + 2) << "nobody waits for it";
}

TEST_F(EngineStragglersTest, WhoComesAtItsLastChanceStays) {
  PlayPromptRounds(5);
  for (int i = 0; i < kMaxMisses; ++i) {
    ContributeAllBut(4);
    driver_->AdvanceBy(absl::Milliseconds(200));
  }
  ContributeAllBut(4);
  driver_->AdvanceBy(absl::Seconds(5));
  members_[4]->Contribute(0, 1);
  EXPECT_EQ(NewestHeader().participants(), "\x1f");
  ContributeAllBut(4);
  driver_->AdvanceBy(absl::Milliseconds(300));
  EXPECT_THAT(NewestHeader().returned(), IsEmpty());
  EXPECT_EQ(NewestHeader().participants(), "\x0f") << "its misses count from the beginning";
}

TEST_F(EngineTest, HalfOfTheRosterIsNeverEnough) {
  std::vector<EngineWorker*> workers;
  for (int i = 0; i < 4; ++i) {
    workers.push_back(
        &Join(Hello(i, 4).WithLayout(LayoutOf(200, 256)).MaxLate(4, absl::Milliseconds(100))));
  }
  for (const size_t i : {0u, 1u}) workers[i]->Contribute(0, 1);
  driver_->AdvanceBy(absl::Seconds(5));
  EXPECT_EQ(workers[0]->Newest(0)->place.round, ~uint64_t{0}) << "the genesis";
  workers[2]->Contribute(0, 1);
  driver_->AdvanceBy(absl::Milliseconds(300));
  EXPECT_EQ(workers[0]->Newest(0)->place.round, 0u);
}

}  // namespace
}  // namespace tally
