// Deadlines, pauses and signs of life, in simulated time, and the words for waits.
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

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(SessionWaitsTest, FailedConnectionsAreTriedAgainAfterGrowingPauses) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Tick();
  driver.Take();
  std::vector<absl::Duration> pauses;
  for (int attempt = 0; attempt < 8; ++attempt) {
    driver.Lose(0, absl::UnavailableError("connection refused"));
    pauses.push_back(driver.session().NextTick() - driver.now());
    driver.Advance(pauses.back());
    EXPECT_THAT(driver.Take(), ElementsAre("open 0", "hello 0"));
  }
  EXPECT_THAT(pauses,
              ElementsAre(absl::Milliseconds(50), absl::Milliseconds(100), absl::Milliseconds(200),
                          absl::Milliseconds(400), absl::Milliseconds(800),
                          absl::Milliseconds(1600), absl::Seconds(2), absl::Seconds(2)));
  driver.Welcome(0);
  driver.Lose(0);
  EXPECT_EQ(driver.session().NextTick() - driver.now(), absl::Milliseconds(50));
}

TEST(SessionWaitsTest, StartTimeoutNamesTheAggregatorThatCannotBeReached) {
  ClientOptions options = OptionsOf(2, 2);
  options.start_timeout = absl::Seconds(30);
  SessionDriver driver(options);
  driver.Tick();
  driver.Welcome(0);
  driver.Lose(1, absl::UnavailableError("connection refused"));
  driver.Advance(absl::Milliseconds(50));
  driver.Lose(1, absl::UnavailableError("no route to host"));
  driver.Advance(absl::Seconds(29));
  EXPECT_THAT(driver.session().failure(), IsOk());
  EXPECT_THAT(driver.session().WaitingFor(driver.now()), HasSubstr("no route to host"));
  driver.Advance(absl::Seconds(1));
  EXPECT_THAT(driver.session().failure(),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       "job `bert` has not started within 30s: aggregator `agg-1` (host-1:7000): "
                       "it cannot be reached for 30s (no route to host)"));
}

TEST(SessionWaitsTest, StartTimeoutNamesTheAggregatorThatDoesNotAnswer) {
  ClientOptions options = OptionsOf(1, 1);
  options.start_timeout = absl::Seconds(30);
  SessionDriver driver(options);
  driver.Advance(absl::Seconds(30));
  EXPECT_THAT(driver.session().failure(),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       HasSubstr("`agg-0` (host-0:7000): it has not answered for 30s")));
}

TEST(SessionWaitsTest, StartTimeoutGivesTheReasonOfTheAggregatorThatHasNotBegun) {
  ClientOptions options = OptionsOf(2, 2);
  options.start_timeout = absl::Seconds(30);
  SessionDriver driver(options);
  driver.Tick();
  driver.Welcome(0);
  driver.Welcome(1);
  driver.Genesis(0);
  driver.Notice(1, "1 of 2 expected workers are here");
  driver.Advance(absl::Seconds(30));
  EXPECT_THAT(driver.session().failure(),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       AllOf(HasSubstr("`agg-1`"), HasSubstr("1 of 2 expected workers"))));
}

TEST(SessionWaitsTest, AggregatorTimeoutNamesPlaceTimeAndReason) {
  ClientOptions options = OptionsOf(2, 4);
  options.aggregator_timeout = absl::Minutes(1);
  SessionDriver driver(options);
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  for (const uint32_t chunk : {3u, 1u}) ASSERT_THAT(driver.Contribute(chunk), IsOk());
  driver.Advance(absl::Seconds(50));
  driver.Close(1);  // progress: the wait begins anew
  driver.Advance(absl::Seconds(59));
  EXPECT_THAT(driver.session().failure(), IsOk());
  EXPECT_EQ(driver.session().WaitingFor(driver.now()),
            "round 0, chunk 3 at `agg-1` for 59s: no word from it");
  driver.Notice(1, "round 0, chunk 3: waiting for worker w-2, silent for 4.2 s; 1 of 2 arrived");
  EXPECT_EQ(driver.session().WaitingFor(driver.now()),
            "round 0, chunk 3 at `agg-1` for 59s: waiting for worker w-2, silent for 4.2 s; 1 of 2 "
            "arrived");
  driver.Advance(absl::Seconds(1));
  EXPECT_THAT(
      driver.session().failure(),
      StatusIs(absl::StatusCode::kDeadlineExceeded,
               "aggregator `agg-1` (host-1:7000) made no progress for 1m, since "
               "2023-11-14T22:14:10Z: round 0, chunk 3: waiting for worker w-2, silent for 4.2 s; "
               "1 of 2 arrived"));
}

TEST(SessionWaitsTest, AggregatorThatIsAwayForTheTimeoutIsUnavailable) {
  ClientOptions options = OptionsOf(1, 1);
  options.aggregator_timeout = absl::Minutes(1);
  SessionDriver driver(options);
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  ASSERT_THAT(driver.Contribute(0), IsOk());
  driver.Advance(absl::Seconds(10));
  driver.Lose(0, absl::UnavailableError("connection reset"));
  driver.Advance(absl::Milliseconds(50));
  driver.Lose(0, absl::UnavailableError("connection refused"));
  driver.Advance(absl::Seconds(50));
  EXPECT_THAT(driver.session().failure(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("made no progress for 1m"), HasSubstr("round 0, chunk 0"),
                             HasSubstr("cannot be reached for 50s (connection refused)"))));
}

TEST(SessionWaitsTest, NothingTimesOutWhileTheTrainerComputes) {
  SessionDriver driver(OptionsOf(1, 2));
  driver.Start(/*window_chunks=*/1);
  driver.Advance(absl::Hours(1));
  ASSERT_THAT(driver.StartRound(), IsOk());
  ASSERT_THAT(driver.Contribute(1), IsOk());  // waits for chunk 0, that is for the trainer itself
  driver.Advance(absl::Hours(1));
  EXPECT_THAT(driver.session().failure(), IsOk());
  EXPECT_EQ(driver.session().WaitingFor(driver.now()), "");
}

TEST(SessionWaitsTest, HeartbeatsFillTheSilence) {
  SessionDriver driver(OptionsOf(2, 2));
  driver.Start();
  driver.Advance(absl::Milliseconds(999));
  EXPECT_THAT(driver.Take(), IsEmpty());
  driver.Advance(absl::Milliseconds(1));
  EXPECT_THAT(driver.Take(), ElementsAre("heartbeat 0", "heartbeat 1"));
  driver.Advance(absl::Milliseconds(500));
  ASSERT_THAT(driver.StartRound(), IsOk());
  ASSERT_THAT(driver.Contribute(0), IsOk());
  driver.Take();
  driver.Advance(absl::Milliseconds(500));
  EXPECT_THAT(driver.Take(), ElementsAre("heartbeat 1"));
  ASSERT_EQ(driver.heartbeat().links().links_size(), 2);
  ASSERT_EQ(driver.heartbeat().waits_size(), 1);
  EXPECT_EQ(driver.heartbeat().waits(0).aggregator_index(), 0u);
  EXPECT_EQ(driver.heartbeat().waits(0).chunk(), 0u);
  EXPECT_EQ(driver.heartbeat().waits(0).since().nanos(), 500'000'000);
}

TEST(SessionWaitsTest, HeartbeatsAreThreeTimesFasterThanTheAggregatorsPatience) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Tick();
  v1::Welcome welcome = WelcomeFrom("agg-0");
  welcome.mutable_silence_limit()->set_seconds(0);
  welcome.mutable_silence_limit()->set_nanos(600'000'000);
  driver.session().OnWelcome(0, welcome, driver.now());
  driver.Take();
  driver.Advance(absl::Milliseconds(200));
  EXPECT_THAT(driver.Take(), ElementsAre("heartbeat 0"));
}

TEST(SessionWaitsTest, LostLinkIsReportedToTheOthers) {
  SessionDriver driver(OptionsOf(2, 2));
  driver.Start();
  driver.Lose(0);
  driver.Advance(absl::Seconds(1));
  driver.Take();
  ASSERT_EQ(driver.heartbeat().links().links_size(), 2);
  EXPECT_FALSE(driver.heartbeat().links().links(0).up());
  EXPECT_TRUE(driver.heartbeat().links().links(1).up());
}

TEST(SessionWaitsTest, DrainingIsPartOfTheReason) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  ASSERT_THAT(driver.Contribute(0), IsOk());
  v1::Notice notice;
  notice.set_draining(true);
  driver.session().OnNotice(0, notice);
  EXPECT_THAT(driver.session().WaitingFor(driver.now()), HasSubstr("it is draining"));
}

TEST(SessionWaitsTest, ReasonIsForgottenOnceAResultCame) {
  SessionDriver driver(OptionsOf(1, 2));
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  for (const uint32_t chunk : {0u, 1u}) ASSERT_THAT(driver.Contribute(chunk), IsOk());
  driver.Notice(0, "waiting for worker w-2");
  driver.Close(0);
  EXPECT_THAT(driver.session().WaitingFor(driver.now()),
              AllOf(HasSubstr("chunk 1"), HasSubstr("no word from it"), Not(HasSubstr("w-2"))));
}

TEST(SessionWaitsTest, LeaveGivesUpOnAStreamThatDoesNotEnd) {
  ClientOptions options = OptionsOf(1, 1);
  options.aggregator_timeout = absl::Minutes(1);
  SessionDriver driver(options);
  driver.Start();
  ASSERT_THAT(driver.session().Leave({}, driver.now()), IsOk());
  driver.Take();
  driver.Advance(absl::Seconds(59));
  EXPECT_THAT(driver.session().failure(), IsOk());
  driver.Advance(absl::Seconds(1));
  EXPECT_THAT(driver.Take(), Contains("failed"));
  EXPECT_THAT(driver.session().failure(),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       HasSubstr("`agg-0` (host-0:7000) has not ended the stream")));
}

}  // namespace
}  // namespace tally
