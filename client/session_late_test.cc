// A session whose worker is slower than the others, in a run that goes on without late ones.
#include <string>
#include <vector>

#include "client/session.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/session_driver.h"
#include "tests/util/status_matchers.h"
#include "tests/util/worker_run.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// One aggregator and two chunks.
class SessionLateTest : public testing::Test {
 protected:
  static ClientOptions Options() {
    ClientOptions options = OptionsOf(1, 2);
    options.max_late = 1;
    return options;
  }
  SessionLateTest() : driver_(Options()) { driver_.Start(); }

  // The chunk's result without this worker.
  v1::ResultHeader WithoutUs(uint32_t chunk) {
    return driver_.results().NextOf(chunk, driver_.ExchangeOf(chunk), {Other()});
  }
  // The same, and it makes this worker an observer.
  v1::ResultHeader Returning(uint32_t chunk) {
    v1::ResultHeader header = WithoutUs(chunk);
    *header.add_returned() = EncodeMember(Self());
    header.set_epoch(header.epoch() + 1);
    *header.add_roster() = EncodeMember(Other());
    return header;
  }
  void CloseWithoutUs() {
    for (const uint32_t chunk : {0u, 1u}) driver_.Result(WithoutUs(chunk));
  }

  SessionDriver driver_;
};

TEST_F(SessionLateTest, TellsHowLateItIsOncePerRound) {
  ASSERT_THAT(driver_.StartRound(), IsOk());
  CloseWithoutUs();
  driver_.Advance(absl::Milliseconds(300));
  driver_.Take();
  ASSERT_THAT(driver_.Contribute(0), IsOk());
  EXPECT_THAT(driver_.Take(), ElementsAre("heartbeat 0", "result 0 missed"));
  EXPECT_EQ(driver_.heartbeat().late_by().nanos(), 300'000'000);
  ASSERT_THAT(driver_.Contribute(1), IsOk());
  EXPECT_THAT(driver_.Take(), ElementsAre("result 1 missed"));
  EXPECT_EQ(driver_.session().counters().missed_contributions, 2u);
}

TEST_F(SessionLateTest, ARoundThatIsOverIsOnlyFollowed) {
  EXPECT_TRUE(driver_.session().takes_part());
  driver_.Result(WithoutUs(0));
  EXPECT_TRUE(driver_.session().takes_part()) << "chunk 1 waits for us";
  driver_.Result(WithoutUs(1));
  EXPECT_FALSE(driver_.session().takes_part());
  driver_.Take();
  ASSERT_THAT(driver_.StartRound(), IsOk());
  for (const uint32_t chunk : {0u, 1u}) ASSERT_THAT(driver_.Abstain(chunk), IsOk());
  EXPECT_THAT(driver_.Take(), ElementsAre("result 0 missed", "result 1 missed"));
  EXPECT_EQ(driver_.session().counters().missed_contributions, 0u) << "nothing was put in";
  EXPECT_TRUE(driver_.session().takes_part());
}

TEST_F(SessionLateTest, WhoIsReturnedAsksToTakePartWhenItIsLevel) {
  driver_.Result(Returning(0));
  driver_.Result(WithoutUs(1));
  driver_.Take();
  ASSERT_THAT(driver_.StartRound(), IsOk());
  EXPECT_THAT(driver_.Take(), ElementsAre("activate 2 at 0"));
}

TEST_F(SessionLateTest, AnObserverWhoseRunIsOverEndsWithWhatItHas) {
  for (const uint32_t chunk : {0u, 1u}) driver_.Result(Returning(chunk));
  driver_.Take();
  const absl::Status over = absl::FailedPreconditionError("run 7 is over");
  driver_.Lose(0, over);
  EXPECT_THAT(driver_.Take(), IsEmpty());
  ASSERT_THAT(driver_.StartRound(), IsOk());
  for (const uint32_t chunk : {0u, 1u}) ASSERT_THAT(driver_.Abstain(chunk), IsOk());
  EXPECT_THAT(driver_.Take(), ElementsAre("result 0 missed", "result 1 missed"));
  ASSERT_THAT(driver_.session().Leave({}, driver_.now()), IsOk());
  EXPECT_THAT(driver_.Take(), ElementsAre("left"));
}

TEST_F(SessionLateTest, AnObserverWhoseRunIsOverFailsWhereAResultIsMissing) {
  for (const uint32_t chunk : {0u, 1u}) driver_.Result(Returning(chunk));
  driver_.Lose(0, absl::FailedPreconditionError("run 7 is over"));
  ASSERT_THAT(driver_.StartRound(), IsOk());
  for (const uint32_t chunk : {0u, 1u}) ASSERT_THAT(driver_.Abstain(chunk), IsOk());
  ASSERT_THAT(driver_.StartRound(), IsOk());
  EXPECT_THAT(driver_.Abstain(0), StatusIs(absl::StatusCode::kFailedPrecondition,
                                           HasSubstr("ended the stream: run 7 is over")));
}

// A notice is news: were it taken for a fact, what it says was missed would be put in again, and
// the restarted aggregator, which knows of no miss, would count it twice.
TEST_F(SessionLateTest, WhatANoticeSaysChangesNothingInARecovery) {
  ASSERT_THAT(driver_.StartRound(), IsOk());
  ASSERT_THAT(driver_.Contribute(0), IsOk());
  driver_.Take();
  const uint64_t digest = driver_.contribution().payload_digest();
  driver_.Notice(0, "round 0, chunk 0: worker `w-1` is late");
  driver_.Lose(0);
  driver_.Advance(absl::Milliseconds(50));
  driver_.Take();
  driver_.Welcome(0, /*window_chunks=*/4, /*instance=*/2);
  EXPECT_THAT(driver_.Take(), ElementsAre("send chunk 0 to 0"));
  EXPECT_EQ(driver_.contribution().payload_digest(), digest);
  driver_.Close(0);
  EXPECT_THAT(driver_.Take(), ElementsAre("result 0 counted"));
  EXPECT_EQ(driver_.session().counters().missed_contributions, 0u);
}

}  // namespace
}  // namespace tally
