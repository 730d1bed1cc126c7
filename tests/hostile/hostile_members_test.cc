// A member of the run breaks a rule in its stream, among workers that keep to the protocol: it gets
// a typed error and another chance, and the round goes on with the right result.
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "tests/hostile/hostile_fixture.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/raw_worker.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

// Offends in a stream of its own, comes back, and still has its chance.
struct MemberOffence : Offence {
  std::function<void(RawWorker&)> commit;
};

class HostileMemberTest : public HostileTest, public testing::WithParamInterface<MemberOffence> {};

TEST_P(HostileMemberTest, GetsATypedErrorAndAnotherChanceAndTheRoundGoesOn) {
  ContributeWithoutThird();
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
  std::vector<float> scales(kHostileChunkElements / 256, 1.0f);
  scales[3] = scale;
  *contribution.message.mutable_exchange() = EncodeExchange(SignBlocks256());
  contribution.payload = SignPayload(scales, kHostileChunkElements);
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
       Contributing(
           [](TestContribution& c) { SetValue(c, kHostileChunkElements - 1, -kInfinity); })},
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
      {{"ChunkOfAnotherRound", kPrecondition,
        "chunk 1, round 1: `round` must be the open one, round 0"},
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
      {{"HandoverOfAnotherChunk", kInvalid,
        "`handover.chunk` = 5, must be one of this aggregator's"},
       [](RawWorker& worker) {
         v1::ClientMessage message;
         message.mutable_handover()->set_chunk(5);
         worker.stream().Send(message);
       }},
      {{"HandoverWithoutLeave", kPrecondition, "`handover` must come after `leave`"},
       [](RawWorker& worker) {
         v1::ClientMessage message;
         message.mutable_handover();
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

}  // namespace
}  // namespace tally
