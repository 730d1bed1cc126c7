// One bad peer at a time, among workers that keep to the protocol: it gets a typed error, their
// round goes on with the right result, and the aggregator stays up.
#include <arpa/inet.h>
#include <grpcpp/create_channel.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "aggregator/server/server.h"
#include "base/clock.h"
#include "base/grpc_status.h"
#include "base/logging.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/backends.h"
#include "proto/tally/v1/aggregation.grpc.pb.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/hello_builder.h"
#include "tests/util/raw_stream.h"
#include "tests/util/raw_worker.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A chunk is 2 MiB of fp32, so that it takes more than one slice.
constexpr uint32_t kChunkElements = 1 << 19;
constexpr uint32_t kNumChunks = 2;

// An aggregator with a run of three workers in its second round. Two of them are good.
class HostileTest : public testing::Test {
 protected:
  HostileTest() {
    EXPECT_THAT(InitLogging("off"), IsOk());
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Create(
        {.name = "agg-0", .listen = "127.0.0.1:0"}, SupportedBackends().back(), &clock_);
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
    absl::StatusOr<Layout> layout =
        Layout::Create({{"weights", kNumChunks * kChunkElements}}, kChunkElements);
    EXPECT_THAT(layout, IsOk());
    layout_ = std::make_unique<Layout>(*std::move(layout));
    for (RawWorker** worker : {&first_, &second_, &third_}) {
      workers_.push_back(std::make_unique<RawWorker>(
          server_->port(), HelloOf(absl::StrCat("w-", workers_.size())), *layout_));
      *worker = workers_.back().get();
      (*worker)->Connect();
    }
    for (const auto& worker : workers_) worker->AwaitStart();
    for (const auto& worker : workers_) worker->Contribute(0, 1);
    ExpectResult(0, 1);
  }

  v1::Hello HelloOf(const std::string& worker) const {
    return HelloBuilder().Worker(worker).ExpectedWorkers(3).WithLayout(*layout_).Build();
  }

  absl::StatusOr<v1::JobStatus> GetStatus() const {
    const auto stub = v1::Aggregation::NewStub(grpc::CreateChannel(
        absl::StrCat("127.0.0.1:", server_->port()), grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    v1::GetStatusRequest request;
    request.set_job("job");
    v1::GetStatusResponse response;
    const grpc::Status status = stub->GetStatus(&context, request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response.jobs(0);
  }

  // All workers get the same bytes for their open round of the chunk, this value everywhere, with
  // all three in the header.
  void ExpectResult(uint32_t chunk, float value) {
    std::string header_bytes;
    for (const auto& worker : workers_) {
      const RawWorker::Result& result = worker->AwaitResult(chunk);
      EXPECT_EQ(result.values.size(), kChunkElements);
      EXPECT_EQ(std::count(result.values.begin(), result.values.end(), value), kChunkElements);
      EXPECT_EQ(result.header.participants(), "\x07");
      if (header_bytes.empty()) header_bytes = result.header_bytes;
      EXPECT_EQ(result.header_bytes, header_bytes);
    }
  }

  // The round that was under way during the offence, and one more.
  void ExpectRoundsGoOn() {
    EXPECT_THAT(GetStatus(), IsOk());
    third_->Contribute(0, 30);
    ExpectResult(0, 11);
    for (const auto& worker : workers_) worker->Contribute(0, 5);
    for (const auto& worker : workers_) worker->Contribute(1, 6);
    ExpectResult(0, 5);
    ExpectResult(1, 6);
    const absl::StatusOr<v1::JobStatus> status = GetStatus();
    ASSERT_THAT(status, IsOk());
    EXPECT_EQ(status->contributions_counted(), 4u * 3);
    EXPECT_EQ(status->contributions_pending(), 0u);
  }

  const RealClock clock_;
  std::unique_ptr<Layout> layout_;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<RawWorker>> workers_;
  RawWorker* first_ = nullptr;
  RawWorker* second_ = nullptr;
  RawWorker* third_ = nullptr;
};

struct Offence {
  const char* name;
  absl::StatusCode code;
  // Field, value and rule.
  std::string message;
};

// --- A member of the run offends in its own stream, comes back, and still has its chance ---

struct MemberOffence : Offence {
  std::function<void(RawWorker&)> commit;
};

class HostileMemberTest : public HostileTest, public testing::WithParamInterface<MemberOffence> {};

TEST_P(HostileMemberTest, GetsATypedErrorAndAnotherChanceAndTheRoundGoesOn) {
  first_->Contribute(0, 1);
  second_->Contribute(0, 2);
  GetParam().commit(*third_);
  EXPECT_THAT(third_->AwaitRefusal(), StatusIs(GetParam().code, HasSubstr(GetParam().message)));
  third_->Connect();
  EXPECT_TRUE(third_->AwaitWelcome().has_value());
  ExpectRoundsGoOn();
}

// Breaks what would be a right contribution to the open round, and sends it.
std::function<void(RawWorker&)> Contributing(std::function<void(TestContribution&)> break_it) {
  return [break_it = std::move(break_it)](RawWorker& worker) {
    TestContribution contribution = worker.Contribution(0, 30);
    break_it(contribution);
    worker.Send(contribution);
  };
}

// The same with the first message of it alone.
std::function<void(RawWorker&)> SendingOnly(std::function<void(v1::ClientMessage&)> break_it) {
  return [break_it = std::move(break_it)](RawWorker& worker) {
    v1::ClientMessage message = worker.Contribution(0, 30).Slices(kSliceBytes).front();
    break_it(message);
    worker.stream().Send(message);
  };
}

void SetValue(TestContribution& contribution, size_t element, float value) {
  contribution.payload.replace(element * sizeof(float), sizeof(float), DensePayload({value}));
  contribution.Sign();
}

void MakeSign(TestContribution& contribution, float scale) {
  std::vector<float> scales(kChunkElements / 256, 1.0f);
  scales[3] = scale;
  *contribution.message.mutable_exchange() = EncodeExchange(SignBlocks256());
  contribution.payload = SignPayload(scales, kChunkElements);
  contribution.Sign();
}

std::vector<MemberOffence> MemberOffences() {
  constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
  constexpr absl::StatusCode kPrecondition = absl::StatusCode::kFailedPrecondition;
  constexpr absl::StatusCode kUnimplemented = absl::StatusCode::kUnimplemented;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return {
      {{"TruncatedPayload", kInvalid,
        "chunk 0, round 1: `slice.total_bytes` = 2097148, must be 2097152 for dense(FLOAT32)"},
       Contributing([](TestContribution& c) {
         c.payload.resize(c.payload.size() - 4);
         c.Sign();
       })},
      {{"OversizedPayload", kInvalid,
        "chunk 0, round 1: `slice.total_bytes` = 2097156, must be 2097152"},
       Contributing([](TestContribution& c) {
         c.payload.append(4, '\0');
         c.Sign();
       })},
      {{"EnormousTotal", kInvalid, "`slice.total_bytes` = 18446744073709551615, must be 2097152"},
       SendingOnly([](v1::ClientMessage& message) {
         message.mutable_contribution()->mutable_slice()->set_total_bytes(
             std::numeric_limits<uint64_t>::max());
       })},
      {{"EmptyPayload", kInvalid, "`slice.total_bytes` = 0, must be 2097152"},
       Contributing([](TestContribution& c) { c.payload.clear(); })},
      {{"SliceOverOneMebibyte", kInvalid, "`payload` has 1048577 bytes, must have at most 1048576"},
       [](RawWorker& worker) {
         worker.stream().Send(worker.Contribution(0, 30).Slices(kMaxSliceBytes + 1).front());
       }},
      {{"SliceBeyondTheEnd", kInvalid, "`payload` has 524288 bytes, must have at most 524287"},
       [](RawWorker& worker) {
         // Four slices make the payload; a byte more in the first leaves too little room.
         for (v1::ClientMessage& slice : worker.Contribution(0, 30).Slices(kSliceBytes)) {
           v1::Slice& place = *slice.mutable_contribution()->mutable_slice();
           if (place.offset_bytes() == 0) {
             slice.mutable_payload()->push_back('x');
           } else {
             place.set_offset_bytes(place.offset_bytes() + 1);
           }
           worker.stream().Send(slice);
         }
       }},
      {{"GapBetweenSlices", kInvalid, "`slice.offset_bytes` = 1048576, must be 524288"},
       [](RawWorker& worker) {
         const std::vector<v1::ClientMessage> slices =
             worker.Contribution(0, 30).Slices(kSliceBytes);
         worker.stream().Send(slices[0]);
         worker.stream().Send(slices[2]);
       }},
      {{"AnotherPayloadInBetween", kInvalid,
        "`chunk`, `round`, `half` = 1, 0, 0, must be 0, 1, 0 until that payload is complete"},
       [](RawWorker& worker) {
         worker.stream().Send(worker.Contribution(0, 30).Slices(kSliceBytes).front());
         worker.stream().Send(worker.Contribution(1, 30).Slices(kSliceBytes).front());
       }},
      {{"DamagedPayload", absl::StatusCode::kDataLoss, "chunk 0, round 1: `payload_digest` = "},
       Contributing([](TestContribution& c) { c.payload[1'000'000] ^= 0x10; })},
      {{"NotANumber", kInvalid,
        "chunk 0, round 1: `payload[123456]` = nan, must be finite and at most 2^64"},
       Contributing([](TestContribution& c) {
         SetValue(c, 123456, std::numeric_limits<float>::quiet_NaN());
       })},
      {{"InfiniteValue", kInvalid, "`payload[524287]` = -inf, must be finite"},
       Contributing([](TestContribution& c) { SetValue(c, kChunkElements - 1, -kInfinity); })},
      {{"HugeValue", kInvalid, "`payload[0]` = 3e+38, must be finite and at most 2^64"},
       Contributing([](TestContribution& c) { SetValue(c, 0, 3e38f); })},
      {{"InfiniteScale", kInvalid, "`payload.scales[3]` = inf, must be from +0 to 2^64"},
       Contributing([](TestContribution& c) { MakeSign(c, kInfinity); })},
      {{"NegativeScale", kInvalid, "`payload.scales[3]` = -1, must be from +0 to 2^64"},
       Contributing([](TestContribution& c) { MakeSign(c, -1); })},
      {{"OtherRun", kInvalid, "`run` = 8, must be 7 as in this stream's Hello"},
       Contributing([](TestContribution& c) { c.message.set_run(8); })},
      {{"AnotherWorkersName", kInvalid,
        "`member` = w-0/100, must be w-2/100 as in this stream's Hello"},
       Contributing([](TestContribution& c) { c.message.mutable_member()->set_worker("w-0"); })},
      {{"AnotherIncarnation", kInvalid, "`member` = w-2/101, must be w-2/100"},
       Contributing([](TestContribution& c) { c.message.mutable_member()->set_incarnation(101); })},
      {{"FutureRound", kPrecondition, "chunk 0, round 2: `round` must be the open one, round 1"},
       Contributing([](TestContribution& c) { c.message.set_round(2); })},
      {{"RoundAtTheEndOfTime", kPrecondition, "`round` must be the open one, round 1"},
       Contributing([](TestContribution& c) {
         c.message.set_round(std::numeric_limits<uint64_t>::max() - 1);
       })},
      {{"ChunkThatIsNone", kInvalid, "`chunk` = 2, must be below 2"},
       Contributing([](TestContribution& c) { c.message.set_chunk(2); })},
      {{"ChunkOfAnotherRound", kPrecondition, "chunk 1, round 1: `round` must be the open one, round 0"},
       Contributing([](TestContribution& c) { c.message.set_chunk(1); })},
      {{"WrongHalf", kInvalid, "`half` = 1, must be 0"},
       Contributing([](TestContribution& c) { c.message.set_half(1); })},
      {{"WrongPrevChain", kPrecondition, "chunk 0, round 1: `prev_chain` = bad, must be "},
       Contributing([](TestContribution& c) { c.message.set_prev_chain(0xbad); })},
      {{"NoExchange", kUnimplemented, "`exchange.kind` is unset or unknown to this build"},
       Contributing([](TestContribution& c) { c.message.clear_exchange(); })},
      {{"UnknownKindOfExchange", kUnimplemented,
        "`exchange.kind` is unset or unknown to this build"},
       Contributing([](TestContribution& c) {
         v1::ExchangeDescriptor& exchange = *c.message.mutable_exchange();
         exchange.clear_kind();
         exchange.GetReflection()->MutableUnknownFields(&exchange)->AddLengthDelimited(9, "");
       })},
      {{"UnknownFieldInExchange", kUnimplemented,
        "`exchange` = dense(FLOAT32) with further fields"},
       Contributing([](TestContribution& c) {
         v1::ExchangeDescriptor& exchange = *c.message.mutable_exchange();
         exchange.GetReflection()->MutableUnknownFields(&exchange)->AddLengthDelimited(
             9, std::string(1 << 20, 'x'));
       })},
      {{"UnknownDataType", kInvalid, "`exchange.dense.data_type` = 99, must be DATA_TYPE_FLOAT32"},
       Contributing([](TestContribution& c) {
         c.message.mutable_exchange()->mutable_dense()->set_data_type(
             static_cast<v1::DataType>(99));
       })},
      {{"AbstentionWithPayload", kInvalid, "`slice.total_bytes` = 2097152, must be 0"},
       Contributing([](TestContribution& c) { c.message.set_abstain(true); })},
      {{"SecondHello", kInvalid, "`kind` = `hello`, must come once, first"},
       [](RawWorker& worker) {
         v1::ClientMessage message;
         *message.mutable_hello() = worker.hello();
         worker.stream().Send(message);
       }},
      {{"MessageWithoutKind", kInvalid, "`kind` must be set to a kind of message known here"},
       [](RawWorker& worker) { worker.stream().SendBytes(""); }},
      {{"UnknownKindOfMessage", kInvalid, "`kind` must be set to a kind of message known here"},
       // Field 14, which is none yet.
       [](RawWorker& worker) { worker.stream().SendBytes(std::string("\x72\x00", 2)); }},
      {{"KindOfALaterVersion", kUnimplemented,
        "`kind` = 4, must be a kind of message that this version serves"},
       [](RawWorker& worker) {
         v1::ClientMessage message;
         message.mutable_activate()->set_round(5);
         worker.stream().Send(message);
       }},
      {{"HeartbeatWithALargePayload", kInvalid,
        "`payload` has 2000000 bytes, must have at most 1048576"},
       [](RawWorker& worker) {
         v1::ClientMessage message;
         message.mutable_heartbeat();
         message.set_payload(std::string(2'000'000, 'x'));
         worker.stream().Send(message);
       }},
      {{"GarbageAsAMessage", kInvalid, "frame, must be a serialized tally.v1.ClientMessage"},
       [](RawWorker& worker) { worker.stream().SendBytes("\xff\xfe garbage \x01\x02"); }},
  };
}

INSTANTIATE_TEST_SUITE_P(Every, HostileMemberTest, testing::ValuesIn(MemberOffences()),
                         [](const auto& row) { return row.param.name; });

// --- Somebody from outside says a bad first word ---

struct StrangersOffence : Offence {
  // Changes a Hello that would be refused only because the run has started without this worker.
  std::function<void(v1::Hello&)> change;
};

class HostileStrangerTest : public HostileTest,
                            public testing::WithParamInterface<StrangersOffence> {};

TEST_P(HostileStrangerTest, GetsATypedErrorAndTheRoundGoesOn) {
  first_->Contribute(0, 1);
  second_->Contribute(0, 2);
  v1::Hello hello = HelloOf("stranger");
  GetParam().change(hello);
  RawWorker stranger(server_->port(), hello, *layout_);
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
       [](v1::Hello&) {}},
      {{"AnOlderProcessOfAWorker", absl::StatusCode::kAborted,
        "`member.incarnation` = 99, must be the newest of worker `w-0`, 100"},
       [](v1::Hello& hello) {
         hello.mutable_member()->set_worker("w-0");
         hello.mutable_member()->set_incarnation(99);
       }},
      {{"ANewerProcessOfAWorker", kPrecondition,
        "`member.incarnation` = 101, must be 100, with which worker `w-0` started run 7"},
       [](v1::Hello& hello) {
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
      {{"OtherInitialState", kInvalid, "`initial_state_digest` = 1, must be abc"},
       [](v1::Hello& hello) { hello.set_initial_state_digest(1); }},
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

TEST_F(HostileTest, AContributionBeforeHelloIsRefused) {
  first_->Contribute(0, 1);
  second_->Contribute(0, 2);
  RawStream stream(server_->port());
  stream.Send(third_->Contribution(0, 30).Slices(kSliceBytes).front());
  EXPECT_THAT(stream.Finish(), StatusIs(absl::StatusCode::kInvalidArgument,
                                        "`kind` must be `hello` in the first message of a stream"));
  ExpectRoundsGoOn();
}

TEST_F(HostileTest, GarbageAsTheFirstMessageIsRefused) {
  first_->Contribute(0, 1);
  second_->Contribute(0, 2);
  RawStream stream(server_->port());
  stream.SendBytes("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(stream.Finish(), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("must be a serialized tally.v1.ClientMessage")));
  ExpectRoundsGoOn();
}

TEST_F(HostileTest, AMessageOfMoreThanSixteenMebibytesIsRefused) {
  first_->Contribute(0, 1);
  second_->Contribute(0, 2);
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
  first_->Contribute(0, 1);
  second_->Contribute(0, 2);
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

TEST_F(HostileTest, AStreamThatIsCutInsideAPayloadCostsNothing) {
  first_->Contribute(0, 1);
  second_->Contribute(0, 2);
  third_->stream().Send(third_->Contribution(0, 99).Slices(kSliceBytes).front());
  third_->stream().Cancel();
  EXPECT_THAT(third_->stream().Finish(), StatusIs(absl::StatusCode::kCancelled));
  third_->Connect();
  EXPECT_TRUE(third_->AwaitWelcome().has_value());
  ExpectRoundsGoOn();
}

TEST_F(HostileTest, AStreamThatEndsInsideAPayloadCostsNothing) {
  first_->Contribute(0, 1);
  second_->Contribute(0, 2);
  third_->stream().Send(third_->Contribution(0, 99).Slices(kSliceBytes).front());
  third_->stream().CloseSending();
  EXPECT_THAT(third_->stream().Finish(), IsOk());
  third_->Connect();
  EXPECT_TRUE(third_->AwaitWelcome().has_value());
  ExpectRoundsGoOn();
}

TEST_F(HostileTest, ARepeatIsSummedOnce) {
  const TestContribution contribution = first_->Contribution(0, 1);
  for (int i = 0; i < 3; ++i) first_->Send(contribution);
  second_->Contribute(0, 2);
  third_->Contribute(0, 30);
  ExpectResult(0, 11);
  const absl::StatusOr<v1::JobStatus> status = GetStatus();
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->contributions_offered(), 6u);
  EXPECT_EQ(status->contributions_counted(), 6u);
}

TEST_F(HostileTest, ARepeatAfterTheRoundIsAnsweredAgain) {
  const TestContribution contribution = first_->Contribution(0, 1);
  first_->Send(contribution);
  second_->Contribute(0, 2);
  third_->Contribute(0, 30);
  ExpectResult(0, 11);
  first_->Send(contribution);
  absl::optional<v1::ServerMessage> answer = first_->stream().Receive();
  while (answer.has_value() && answer->has_notice()) answer = first_->stream().Receive();
  ASSERT_TRUE(answer.has_value() && answer->has_result());
  EXPECT_EQ(answer->result().chunk(), 0u);
  EXPECT_EQ(answer->result().round(), 1u);
}

TEST_F(HostileTest, OtherBytesForTheSameRoundAreRefusedAndTheFirstOnesCount) {
  first_->Contribute(0, 1);
  second_->Contribute(0, 2);
  third_->Contribute(0, 30);
  third_->Contribute(1, 1);
  third_->Contribute(1, 2);
  EXPECT_THAT(third_->AwaitRefusal(),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       AllOf(HasSubstr("chunk 1, round 0: `payload_digest` = "),
                             HasSubstr("as in this worker's first contribution"))));
  third_->Connect();
  first_->Contribute(1, 3);
  second_->Contribute(1, 5);
  ExpectResult(1, 3);
}

TEST_F(HostileTest, ManyBadPeersAtOnceHarmNobody) {
  first_->Contribute(0, 1);
  second_->Contribute(0, 2);
  std::vector<std::unique_ptr<RawWorker>> strangers;
  for (int i = 0; i < 30; ++i) {
    strangers.push_back(std::make_unique<RawWorker>(
        server_->port(), HelloOf(absl::StrCat("stranger-", i)), *layout_));
    strangers.back()->Connect();
  }
  for (size_t i = 0; i < strangers.size(); i += 2) strangers[i]->stream().Cancel();
  ExpectRoundsGoOn();
}

}  // namespace
}  // namespace tally
