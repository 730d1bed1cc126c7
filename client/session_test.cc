#include "client/session.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/session_driver.h"
#include "tests/util/status_matchers.h"
#include "tests/util/worker_run.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(SessionTest, OpensStreamsOnFirstTickAndStartsWithLastGenesis) {
  SessionDriver driver(OptionsOf(2, 3));
  EXPECT_THAT(driver.Take(), IsEmpty());
  driver.Tick();
  EXPECT_THAT(driver.Take(), ElementsAre("open 0", "hello 0", "open 1", "hello 1"));
  driver.Welcome(0);
  driver.Welcome(1);
  driver.Genesis(0);
  driver.Genesis(1);
  EXPECT_THAT(driver.Take(), IsEmpty());
  EXPECT_FALSE(driver.session().started());
  driver.Genesis(2);
  EXPECT_THAT(driver.Take(), ElementsAre("started"));
  EXPECT_TRUE(driver.session().started());
}

TEST(SessionTest, HelloSaysWhoWhatAndWhere) {
  SessionDriver driver(OptionsOf(2, 3));
  driver.Tick();
  driver.Take();
  const v1::Hello& hello = driver.hello();
  EXPECT_EQ(hello.version(), 1u);
  EXPECT_EQ(hello.job(), "bert");
  EXPECT_EQ(hello.run(), 7u);
  EXPECT_EQ(hello.seed(), 77u);
  EXPECT_EQ(hello.initial_state_digest(), 777u);
  EXPECT_EQ(hello.member().worker(), "w-1");
  EXPECT_EQ(hello.member().incarnation(), 11u);
  EXPECT_EQ(hello.intent(), v1::INTENT_START);
  EXPECT_EQ(hello.layout().tensors_size(), 2);
  EXPECT_EQ(hello.settings().expected_workers(), 2u);
  EXPECT_EQ(hello.settings().roster_limit(), 2u);
  EXPECT_THAT(hello.aggregators(), ElementsAre("agg-0", "agg-1"));
  EXPECT_EQ(hello.aggregator_index(), 1u);
  EXPECT_EQ(hello.chunks_size(), 0);
}

TEST(SessionTest, RoundGoesFromContributionsToResults) {
  SessionDriver driver(OptionsOf(1, 2));
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  EXPECT_EQ(driver.session().next_round(), 1u);
  EXPECT_FALSE(driver.session().awaits_result());
  ASSERT_THAT(driver.Contribute(1), IsOk());
  ASSERT_THAT(driver.Contribute(0), IsOk());
  EXPECT_THAT(driver.Take(), ElementsAre("send chunk 1 to 0", "send chunk 0 to 0"));
  EXPECT_TRUE(driver.session().awaits_result());
  driver.Close(0);
  driver.Close(1);
  EXPECT_THAT(driver.Take(), ElementsAre("result 0 counted", "result 1 counted"));
  EXPECT_EQ(driver.session().missing_results(), 0u);
  EXPECT_EQ(driver.session().counters().rounds, 1u);
  EXPECT_EQ(driver.session().counters().missed_contributions, 0u);
}

TEST(SessionTest, ContributionSaysWhatItBuildsOn) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Start();
  for (uint64_t round = 0; round < 2; ++round) {
    SCOPED_TRACE(round);
    const v1::ResultHeader next = driver.results().NextOf(0, driver.ExchangeOf(0));
    ASSERT_THAT(driver.StartRound(), IsOk());
    ASSERT_THAT(driver.Contribute(0), IsOk());
    driver.Take();
    const v1::Contribution& contribution = driver.contribution();
    EXPECT_EQ(contribution.chunk(), 0u);
    EXPECT_EQ(contribution.round(), round);
    EXPECT_EQ(contribution.run(), 7u);
    EXPECT_EQ(contribution.member().worker(), "w-1");
    EXPECT_EQ(contribution.prev_chain(), next.prev_chain());
    EXPECT_EQ(contribution.payload_digest(), next.payload_digest());
    EXPECT_TRUE(contribution.exchange().has_dense());
    ASSERT_EQ(contribution.links().links_size(), 1);
    EXPECT_TRUE(contribution.links().links(0).up());
    EXPECT_EQ(contribution.links().links(0).open_round(), round);
    driver.Result(next);
  }
}

TEST(SessionTest, RoundsGoOnFromFirstRoundOfOptions) {
  ClientOptions options = OptionsOf(1, 1);
  options.first_round = 800;
  SessionDriver driver(options);
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  ASSERT_THAT(driver.Contribute(0), IsOk());
  driver.Take();
  EXPECT_EQ(driver.contribution().round(), 800u);
  driver.Close(0);
  EXPECT_THAT(driver.Take(), ElementsAre("result 0 counted"));
}

TEST(SessionTest, CallsOutOfOrderAreRefusedAndChangeNothing) {
  SessionDriver driver(OptionsOf(1, 2));
  EXPECT_THAT(driver.StartRound(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("has not started")));
  driver.Start();
  EXPECT_THAT(driver.Contribute(0),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no round is open")));
  ASSERT_THAT(driver.StartRound(), IsOk());
  ASSERT_THAT(driver.Contribute(0), IsOk());
  EXPECT_THAT(driver.Contribute(0), StatusIs(absl::StatusCode::kFailedPrecondition,
                                             HasSubstr("chunk 0 has contributed to round 0")));
  EXPECT_THAT(driver.session().Contribute(2, {}, nullptr, driver.now()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`chunk` = 2")));
  driver.Close(0);
  EXPECT_THAT(driver.StartRound(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("round 0 is not over"), HasSubstr("chunk 1"))));
  EXPECT_THAT(driver.session().Leave({}, driver.now()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("round 0 is not over")));
  EXPECT_THAT(driver.session().failure(), IsOk());
}

TEST(SessionTest, WindowHoldsBackContributionsUntilTheLowestResult) {
  SessionDriver driver(OptionsOf(2, 8));  // aggregator 0 has chunks 0, 2, 4, 6
  driver.Start(/*window_chunks=*/2);
  ASSERT_THAT(driver.StartRound(), IsOk());
  ASSERT_THAT(driver.Contribute(6), IsOk());
  ASSERT_THAT(driver.Contribute(4), IsOk());
  EXPECT_THAT(driver.Take(), IsEmpty());
  EXPECT_FALSE(driver.session().awaits_result());
  ASSERT_THAT(driver.Contribute(2), IsOk());
  ASSERT_THAT(driver.Contribute(0), IsOk());
  EXPECT_THAT(driver.Take(), ElementsAre("send chunk 2 to 0", "send chunk 0 to 0"));
  driver.Close(2);  // not the lowest: the window stays
  EXPECT_THAT(driver.Take(), ElementsAre("result 2 counted"));
  driver.Close(0);
  EXPECT_THAT(driver.Take(),
              ElementsAre("result 0 counted", "send chunk 4 to 0", "send chunk 6 to 0"));
}

TEST(SessionTest, AbstentionIsSentAndCountsAsNoMiss) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  ASSERT_THAT(driver.Abstain(0), IsOk());
  EXPECT_THAT(driver.Take(), ElementsAre("abstain chunk 0 to 0"));
  driver.Result(driver.results().NextOf(0, driver.ExchangeOf(0), {Other()}));
  EXPECT_THAT(driver.Take(), ElementsAre("result 0 missed"));
  EXPECT_EQ(driver.session().counters().missed_contributions, 0u);
}

TEST(SessionTest, ResultThatDoesNotNameThisWorkerIsAMiss) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  ASSERT_THAT(driver.Contribute(0), IsOk());
  driver.Result(driver.results().NextOf(0, driver.ExchangeOf(0), {Other()}));
  EXPECT_THAT(driver.Take(), ElementsAre("send chunk 0 to 0", "result 0 missed"));
  EXPECT_EQ(driver.session().counters().missed_contributions, 1u);
}

TEST(SessionTest, RoundThatClosedWithoutThisWorkerWaitsForItsTurn) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Start();
  driver.Result(driver.results().NextOf(0, driver.ExchangeOf(0), {Other()}));
  driver.Result(driver.results().NextOf(0, driver.ExchangeOf(0), {Other()}));
  EXPECT_THAT(driver.Take(), IsEmpty());
  for (int round = 0; round < 2; ++round) {
    ASSERT_THAT(driver.StartRound(), IsOk());
    EXPECT_THAT(driver.Take(), IsEmpty());
    EXPECT_THAT(driver.Contribute(0), IsOk());
    EXPECT_THAT(driver.Take(), ElementsAre("result 0 missed"));
  }
  EXPECT_EQ(driver.session().counters().missed_contributions, 2u);
}

TEST(SessionTest, DuplicateResultIsIgnored) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  ASSERT_THAT(driver.Contribute(0), IsOk());
  const CheckedResult result =
      driver.results().Checked(driver.results().NextOf(0, driver.ExchangeOf(0)));
  driver.session().OnResult(0, result, driver.now());
  driver.Take();
  driver.session().OnResult(0, result, driver.now());
  EXPECT_THAT(driver.Take(), IsEmpty());
  EXPECT_THAT(driver.session().failure(), IsOk());
}

TEST(SessionTest, ForkEndsTheSessionNamingPlaceAndBothChains) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  v1::ResultHeader header = driver.results().NextOf(0, driver.ExchangeOf(0));
  header.set_prev_chain(0xabc);
  driver.Result(header);
  EXPECT_THAT(driver.Take(), ElementsAre("failed"));
  EXPECT_THAT(driver.session().failure(),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("aggregator `agg-0` (host-0:7000): chunk 0, round 0: "),
                             HasSubstr("`prev_chain` = 0000000000000abc, must be "))));
  EXPECT_THAT(driver.StartRound(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("chunk 0")));
}

TEST(SessionTest, ResultOfAChunkThatLivesElsewhereEndsTheSession) {
  SessionDriver driver(OptionsOf(2, 2));
  driver.Tick();
  driver.Welcome(0);
  driver.session().OnResult(0, driver.results().Checked(driver.results().GenesisOf(1)),
                            driver.now());
  EXPECT_THAT(driver.session().failure(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("`result.chunk` = 1")));
}

TEST(SessionTest, ResultBeforeWelcomeEndsTheSession) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Tick();
  driver.Genesis(0);
  EXPECT_THAT(driver.session().failure(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("after `welcome`")));
}

TEST(SessionTest, RunThatStartedWithoutThisWorkerEndsTheSession) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Tick();
  driver.Welcome(0);
  driver.Result(driver.results().GenesisOf(0, {Other()}));
  EXPECT_THAT(driver.session().failure(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                   HasSubstr("has started without worker `w-1`")));
}

TEST(SessionTest, EvictionEndsTheSession) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  v1::ResultHeader header = driver.results().NextOf(0, driver.ExchangeOf(0), {Other()});
  *header.add_evicted() = EncodeMember(Self());
  *header.add_roster() = EncodeMember(Other());
  header.set_epoch(2);
  driver.Result(header);
  EXPECT_THAT(driver.Take(), ElementsAre("failed"));
  EXPECT_THAT(driver.session().failure(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("worker `w-1` was evicted: the run goes on without it")));
}

TEST(SessionTest, ReconnectSaysWhatItHoldsAndSendsOpenContributionsAgain) {
  SessionDriver driver(OptionsOf(1, 3));
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  for (const uint32_t chunk : {2u, 0u, 1u}) ASSERT_THAT(driver.Contribute(chunk), IsOk());
  driver.Close(1);
  driver.Take();
  driver.Lose(0);
  EXPECT_THAT(driver.Take(), IsEmpty());
  driver.Advance(absl::Milliseconds(50));
  EXPECT_THAT(driver.Take(), ElementsAre("open 0", "hello 0"));
  const v1::Hello& hello = driver.hello();
  EXPECT_EQ(hello.intent(), v1::INTENT_MEMBER);
  ASSERT_EQ(hello.chunks_size(), 3);
  EXPECT_EQ(hello.chunks(0).head().round(), uint64_t{0} - 1);
  EXPECT_EQ(hello.chunks(0).open().round(), 0u);
  EXPECT_NE(hello.chunks(0).open().payload_digest(), 0u);
  EXPECT_EQ(hello.chunks(1).head().round(), 0u);
  EXPECT_EQ(hello.chunks(1).head().chain(),
            driver.results().NextOf(1, driver.ExchangeOf(1)).prev_chain());
  EXPECT_EQ(hello.chunks(1).head().epoch(), 1u);
  EXPECT_FALSE(hello.chunks(1).has_open());
  ASSERT_EQ(hello.rosters_size(), 1);
  EXPECT_EQ(hello.rosters(0).roster_size(), 2);
  driver.Welcome(0);
  EXPECT_THAT(driver.Take(), ElementsAre("send chunk 0 to 0", "send chunk 2 to 0"));
  EXPECT_EQ(driver.session().counters().reconnects, 1u);
}

TEST(SessionTest, NothingIsSentBetweenHelloAndWelcome) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Start();
  driver.Lose(0);
  driver.Advance(absl::Milliseconds(50));
  driver.Take();
  ASSERT_THAT(driver.StartRound(), IsOk());
  ASSERT_THAT(driver.Contribute(0), IsOk());
  driver.Advance(absl::Seconds(5));
  EXPECT_THAT(driver.Take(), IsEmpty());
  EXPECT_TRUE(driver.session().awaits_result());
  driver.Welcome(0);
  EXPECT_THAT(driver.Take(), ElementsAre("send chunk 0 to 0"));
}

TEST(SessionTest, RestartedAggregatorGetsContributionsOnceItHasRecovered) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  ASSERT_THAT(driver.Contribute(0), IsOk());
  driver.Lose(0);
  driver.Advance(absl::Milliseconds(50));
  driver.Take();
  v1::Welcome welcome = WelcomeFrom("agg-0", 4, /*instance=*/2);
  welcome.set_recovering(true);
  driver.session().OnWelcome(0, welcome, driver.now());
  EXPECT_THAT(driver.Take(), IsEmpty());
  EXPECT_THAT(driver.session().WaitingFor(driver.now()), HasSubstr("was restarted and recovers"));
  v1::Need need;
  need.set_kind(v1::Need::KIND_OPEN_CONTRIBUTION);
  driver.session().OnNeed(0, need, driver.now());
  EXPECT_THAT(driver.Take(), ElementsAre("send chunk 0 to 0"));
}

TEST(SessionTest, WelcomeThatBreaksARuleEndsTheSession) {
  v1::Welcome other_name = WelcomeFrom("agg-9");
  v1::Welcome no_window = WelcomeFrom("agg-0", 0);
  v1::Welcome observer = WelcomeFrom("agg-0");
  observer.set_verdict(v1::Welcome::VERDICT_OBSERVER);
  v1::Welcome fenced = WelcomeFrom("agg-0");
  fenced.set_verdict(v1::Welcome::VERDICT_FENCED);
  fenced.mutable_fence()->set_incarnation(11);
  v1::Welcome replaced = WelcomeFrom("agg-0");
  replaced.set_verdict(v1::Welcome::VERDICT_REPLACED);
  v1::Welcome unspecified = WelcomeFrom("agg-0");
  unspecified.clear_verdict();
  const struct {
    const v1::Welcome& welcome;
    absl::StatusCode code;
    std::string words;
  } rows[] = {
      {other_name, absl::StatusCode::kDataLoss, "`welcome.aggregator` = agg-9, must be agg-0"},
      {no_window, absl::StatusCode::kDataLoss, "`welcome.window_chunks` = 0"},
      {observer, absl::StatusCode::kFailedPrecondition, "has begun without this worker"},
      {fenced, absl::StatusCode::kFailedPrecondition, "incarnations up to 11 are dead"},
      {replaced, absl::StatusCode::kFailedPrecondition, "a newer process"},
      {unspecified, absl::StatusCode::kDataLoss, "`welcome.verdict` = 0"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.words);
    SessionDriver driver(OptionsOf(1, 1));
    driver.Tick();
    driver.session().OnWelcome(0, row.welcome, driver.now());
    EXPECT_THAT(driver.session().failure(), StatusIs(row.code, HasSubstr(row.words)));
  }
}

TEST(SessionTest, RefusalEndsTheSessionWithItsCodeAndWords) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Tick();
  driver.Take();
  v1::Refusal refusal;
  refusal.set_code(static_cast<uint32_t>(absl::StatusCode::kInvalidArgument));
  refusal.set_message("`hello.seed` = 77, must be 78 as on the other workers");
  driver.session().OnRefusal(0, refusal);
  EXPECT_THAT(driver.Take(), ElementsAre("failed"));
  EXPECT_THAT(driver.session().failure(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "aggregator `agg-0` (host-0:7000) refused: `hello.seed` = 77, must be 78 as "
                       "on the other workers"));
  driver.Lose(0, absl::InvalidArgumentError("the same"));
  driver.Advance(absl::Minutes(10));
  EXPECT_THAT(driver.Take(), IsEmpty());
}

TEST(SessionTest, RefusalThatMayPassIsTriedAgain) {
  for (const absl::StatusCode code :
       {absl::StatusCode::kUnavailable, absl::StatusCode::kResourceExhausted,
        absl::StatusCode::kDeadlineExceeded}) {
    SCOPED_TRACE(absl::StatusCodeToString(code));
    SessionDriver driver(OptionsOf(1, 1));
    driver.Tick();
    v1::Refusal refusal;
    refusal.set_code(static_cast<uint32_t>(code));
    refusal.set_message("not now");
    driver.session().OnRefusal(0, refusal);
    driver.Lose(0, absl::Status(code, refusal.message()));
    driver.Take();
    driver.Advance(absl::Milliseconds(50));
    EXPECT_THAT(driver.Take(), ElementsAre("open 0", "hello 0"));
  }
}

TEST(SessionTest, StreamEndThatWouldRepeatEndsTheSession) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Tick();
  driver.Lose(0, absl::UnimplementedError("no such method"));
  EXPECT_THAT(driver.session().failure(),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("`agg-0`"), HasSubstr("no such method"))));
}

TEST(SessionTest, ValuesMustWaitForTheFirstHalf) {
  SessionDriver driver(OptionsOf(1, 1));
  driver.Start();
  ASSERT_THAT(driver.StartRound(), IsOk());
  v1::Contribution values;
  values.mutable_exchange()->mutable_values();
  const auto contribute = [&] {
    return driver.session().Contribute(0, values, nullptr, driver.now());
  };
  EXPECT_THAT(contribute(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                     HasSubstr("round 0, half 1 must wait for the result")));
  ASSERT_THAT(driver.Contribute(0), IsOk());
  EXPECT_THAT(contribute(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                     HasSubstr("round 0, half 1 must wait for the result")));
}

}  // namespace
}  // namespace tally
