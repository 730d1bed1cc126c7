// Somebody from outside says a bad first word, or no word at all that the protocol knows: that
// connection ends, and the run does not notice.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "tests/hostile/hostile_fixture.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/raw_stream.h"
#include "tests/util/raw_worker.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

struct StrangersOffence : Offence {
  // Changes a Hello that would be refused only because the run has started without this worker.
  std::function<void(v1::Hello&)> change;
};

class HostileStrangerTest : public HostileTest,
                            public testing::WithParamInterface<StrangersOffence> {};

TEST_P(HostileStrangerTest, GetsATypedErrorAndTheRoundGoesOn) {
  ContributeWithoutThird();
  v1::Hello hello = HelloOf("stranger");
  GetParam().change(hello);
  RawWorker stranger(server_->port(), hello, layout_);
  stranger.Connect();
  EXPECT_THAT(stranger.AwaitRefusal(), StatusIs(GetParam().code, HasSubstr(GetParam().message)));
  ExpectRoundsGoOn();
}

std::vector<StrangersOffence> StrangersOffences() {
  constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
  constexpr absl::StatusCode kPrecondition = absl::StatusCode::kFailedPrecondition;
  return {
      {{"OtherVersion", kInvalid, "`version` = 2, must be 1, the protocol spoken here"},
       [](v1::Hello& hello) { hello.set_version(2); }},
      {{"NobodyExpectsIt", kPrecondition,
        "`member.worker` = stranger, must be one of the 3 that started run 7 of job `job`"},
       [](v1::Hello& hello) { hello.set_intent(v1::INTENT_MEMBER); }},
      {{"AnOlderProcessOfAWorker", absl::StatusCode::kAborted,
        "`member.incarnation` = 99, must be later than 100 of worker `w-0`"},
       [](v1::Hello& hello) {
         hello.mutable_member()->set_worker("w-0");
         hello.mutable_member()->set_incarnation(99);
       }},
      {{"ANewerProcessOfAWorker", kPrecondition,
        "`member.incarnation` = 101, must be 100, with which worker `w-0` is a member of run 7"},
       [](v1::Hello& hello) {
         hello.set_intent(v1::INTENT_MEMBER);
         hello.mutable_member()->set_worker("w-0");
         hello.mutable_member()->set_incarnation(101);
       }},
      {{"OtherRun", absl::StatusCode::kUnavailable,
        "`run` = 8, must wait: run 7 of job `job` lives here, with w-0, w-1, w-2"},
       [](v1::Hello& hello) { hello.set_run(8); }},
      {{"OtherSeed", kInvalid, "`seed` = 43, must be 42 as on the run's workers"},
       [](v1::Hello& hello) { hello.set_seed(43); }},
      {{"OtherLayout", kInvalid, "`layout` = 1000000 elements in 1 tensors and chunks of 524288"},
       [](v1::Hello& hello) {
         hello.mutable_layout()->mutable_tensors(0)->set_num_elements(1'000'000);
       }},
      {{"LayoutThatIsNone", kInvalid, "`chunk_elements` = 1000, must be a multiple of 256"},
       [](v1::Hello& hello) { hello.mutable_layout()->set_chunk_elements(1000); }},
      {{"OtherSettings", kInvalid, "`settings.expected_workers` = 4, must be 3"},
       [](v1::Hello& hello) { hello.mutable_settings()->set_expected_workers(4); }},
      {{"OtherAggregators", kInvalid, "`aggregators` = [agg-0, agg-1], must be [agg-0]"},
       [](v1::Hello& hello) { hello.add_aggregators("agg-1"); }},
      {{"AnotherAggregatorsName", kInvalid,
        "`aggregators[0]` = \"agg-9\", must be the name of the aggregator addressed, \"agg-0\""},
       [](v1::Hello& hello) { hello.set_aggregators(0, "agg-9"); }},
      {{"JobThatDoesNotFit", absl::StatusCode::kResourceExhausted, "the job needs up to "},
       [](v1::Hello& hello) {
         hello.set_job("huge");
         hello.mutable_settings()->set_roster_limit(65'536);
       }},
      {{"ForkedHistory", kPrecondition,
        "`chunks[0].head` = round 0, chain bad, must be in this aggregator's history"},
       [](v1::Hello& hello) {
         hello.mutable_member()->set_worker("w-0");
         hello.set_intent(v1::INTENT_MEMBER);
         v1::ChunkProgress& progress = *hello.add_chunks();
         progress.mutable_head()->set_chain(0xbad);
       }},
  };
}

INSTANTIATE_TEST_SUITE_P(Every, HostileStrangerTest, testing::ValuesIn(StrangersOffences()),
                         [](const auto& row) { return row.param.name; });

// Nobody waits for an observer, so what it leaves lying must not pile up.
TEST_F(HostileTest, AnObserverThatTakesNothingInIsCutOff) {
  v1::Hello hello = HelloOf("observer");
  hello.set_intent(v1::INTENT_OBSERVER);
  RawWorker observer(server_->port(), hello, layout_);
  observer.Connect();
  const absl::optional<v1::Welcome> welcome = observer.AwaitWelcome();
  ASSERT_TRUE(welcome.has_value());
  EXPECT_EQ(welcome->verdict(), v1::Welcome::VERDICT_OBSERVER);
  int rounds = 0;
  for (; rounds < 100; ++rounds) {
    const absl::StatusOr<v1::JobStatus> status = GetStatus();
    ASSERT_THAT(status, IsOk());
    if (status->observers_size() == 0) break;
    for (const auto& worker : workers_) worker->Contribute(0, 5);
    ExpectResult(0, 5);
  }
  EXPECT_GT(rounds, 2);
  EXPECT_LT(rounds, 100);
  EXPECT_FALSE(observer.stream().Finish().ok());
}

TEST_F(HostileTest, AContributionBeforeHelloIsRefused) {
  ContributeWithoutThird();
  RawStream stream(server_->port());
  stream.Send(third_->Contribution(0, 30).Slices(kSliceBytes).front());
  EXPECT_THAT(stream.Finish(), StatusIs(absl::StatusCode::kInvalidArgument,
                                        "`kind` must be `hello` in the first message of a stream"));
  ExpectRoundsGoOn();
}

TEST_F(HostileTest, GarbageAsTheFirstMessageIsRefused) {
  ContributeWithoutThird();
  RawStream stream(server_->port());
  stream.SendBytes("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(stream.Finish(), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("must be a serialized tally.v1.ClientMessage")));
  ExpectRoundsGoOn();
}

TEST_F(HostileTest, AMessageOfMoreThanSixteenMebibytesIsRefused) {
  ContributeWithoutThird();
  RawStream stream(server_->port());
  v1::ClientMessage message;
  *message.mutable_hello() = HelloOf("w-2");
  message.mutable_hello()->set_job(std::string(17 << 20, 'j'));
  stream.Send(message);
  EXPECT_THAT(stream.Finish(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("larger than max")));
  ExpectRoundsGoOn();
}

// A peer that does not even speak HTTP/2.
TEST_F(HostileTest, GarbageOnThePortEndsThatConnectionOnly) {
  ContributeWithoutThird();
  for (const std::string& garbage :
       {std::string("GET / HTTP/1.1\r\nHost: tally\r\n\r\n"), std::string(100'000, '\xff'),
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string(1000, '\x7f')}) {
    const int peer = socket(AF_INET, SOCK_STREAM, 0);
    ASSERT_GE(peer, 0);
    sockaddr_in address = {.sin_family = AF_INET,
                           .sin_port = htons(static_cast<uint16_t>(server_->port()))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(peer, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    // The aggregator may hang up before it has all.
    (void)send(peer, garbage.data(), garbage.size(), MSG_NOSIGNAL);
    char answer[4096];
    while (recv(peer, answer, sizeof(answer), 0) > 0) {
    }
    close(peer);
  }
  ExpectRoundsGoOn();
}

TEST_F(HostileTest, ManyBadPeersAtOnceHarmNobody) {
  ContributeWithoutThird();
  std::vector<std::unique_ptr<RawWorker>> strangers;
  for (int i = 0; i < 30; ++i) {
    strangers.push_back(std::make_unique<RawWorker>(
        server_->port(), HelloOf(absl::StrCat("stranger-", i)), layout_));
    strangers.back()->Connect();
  }
  for (size_t i = 0; i < strangers.size(); i += 2) strangers[i]->stream().Cancel();
  ExpectRoundsGoOn();
}

}  // namespace
}  // namespace tally
