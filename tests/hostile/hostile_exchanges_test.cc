// Wrong votes, sparse elements and signs to be relayed: each gets a typed error that names field,
// value and rule and ends its own stream; the exchange goes on with the others, the offender, once
// it has come back, among them.
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/hostile/exchange_samples.h"
#include "tests/hostile/hostile_exchange_fixture.h"
#include "tests/hostile/hostile_fixture.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/raw_worker.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// --- Votes ---

class HostileVoteTest : public HostileExchangeTest {
 protected:
  HostileVoteTest() : HostileExchangeTest(SampleLayout()) {}
};

TEST_P(HostileVoteTest, IsRefusedAndTheRoundGoesOn) {
  ExpectRefusalAndResult(VoteSample());
  PlayRound(VoteSample());
}

INSTANTIATE_TEST_SUITE_P(
    Every, HostileVoteTest,
    testing::Values(
        ExchangeOffence{
            {"TooShort", kInvalid, "`slice.total_bytes` = 125, must be 126 for vote(counts)"},
            ChangePayload([](std::string& payload) { payload.pop_back(); })},
        ExchangeOffence{{"TooLong", kInvalid, "`slice.total_bytes` = 127, must be 126"},
                        Lengthen(1)},
        ExchangeOffence{{"VoteBeyondTheChunk", kInvalid,
                         "`payload[125]` = 0x03, must have only its lower 1 bits set"},
                        ChangePayload([](std::string& payload) { payload.back() |= 0x2; })},
        ExchangeOffence{{"NoResult", kInvalid, "`exchange.vote.result` = 0, must be VOTE_RESULT_"},
                        ChangeDescriptor([](auto& e) { e.mutable_vote()->clear_result(); })},
        ExchangeOffence{{"SecondHalf", kInvalid, "`half` = 1, must be 0 for vote(counts)"},
                        SetHalf(1)}),
    OffenceName);

// --- Sparse elements ---

class HostileSparseTest : public HostileExchangeTest {
 protected:
  HostileSparseTest() : HostileExchangeTest(SampleLayout()) {}
};

TEST_P(HostileSparseTest, IsRefusedAndTheRoundGoesOn) {
  ExpectRefusalAndResult(SparseSample());
  PlayRound(SparseSample());
}

// Elements that are not sorted, or repeated, have no code: gaps are not negative. Whoever tries
// writes other elements, or more of them than there are (codecs/index_set_codec_test.cc).
INSTANTIATE_TEST_SUITE_P(
    Every, HostileSparseTest,
    testing::Values(
        ExchangeOffence{{"ElementBeyondTheChunk", kInvalid,
                         "`payload.indices[2]` = 1001, must be less than 1001"},
                        ChangePayload([](std::string& payload) {
                          payload = SparsePayload({5, 6, 1001}, {1, 2, 3}, 1010);
                        })},
        ExchangeOffence{
            {"ElementThatRunsFarAway", kInvalid, "ends within indices[2]"},
            ChangePayload([](std::string& payload) { payload.replace(18, 2, 2, '\0'); })},
        ExchangeOffence{{"MaskedElement", kInvalid, "`payload.indices[1]` = 3, must not be masked"},
                        ChangePayload([](std::string& payload) {
                          payload = SparsePayload({2, 3, 4}, {1, 2, 3}, 1001);
                        })},
        ExchangeOffence{
            {"MoreElementsThanAllowed", kInvalid, "`payload.count` = 4, must be at most 3"},
            ChangePayload([](std::string& payload) {
              payload = SparsePayload({4, 5, 6, 7}, {}, 1001);
            })},
        ExchangeOffence{
            {"EnormousCount", kInvalid, "`payload.count` = 4294967295, must be at most 3"},
            ChangePayload([](std::string& payload) { payload.replace(0, 4, 4, '\xff'); })},
        ExchangeOffence{{"CountWithoutValues", kInvalid,
                         "`payload` has 4 bytes, must have more than 16 for 3 elements"},
                        ChangePayload([](std::string& payload) { payload.resize(4); })},
        ExchangeOffence{{"NoCount", kInvalid, "`payload` has 0 bytes, must begin with a count"},
                        ChangePayload([](std::string& payload) { payload.clear(); })},
        ExchangeOffence{{"BytesBehindTheLastElement", kInvalid, "`payload.indices` has 5 bytes"},
                        Lengthen(1)},
        ExchangeOffence{{"TooLarge", kInvalid, "`slice.total_bytes` = 120, must be at most 21"},
                        Lengthen(100)},
        ExchangeOffence{{"ValueThatIsNone", kInvalid,
                         "`payload.values[1]` = nan, must be finite and at most 2^64"},
                        PutValue(8, kNan)},
        ExchangeOffence{{"InfiniteValue", kInvalid, "`payload.values[0]` = -inf, must be finite"},
                        PutValue(4, -kInfinity)},
        ExchangeOffence{{"HugeValue", kInvalid, "`payload.values[2]` = 3e+38, must be finite and"},
                        PutValue(12, 3e38f)},
        ExchangeOffence{
            {"NoMaximum", kInvalid, "`exchange.sparse.max_values` = 0, must be from 1 to 1001"},
            ChangeDescriptor([](auto& e) { e.mutable_sparse()->set_max_values(0); })},
        ExchangeOffence{
            {"MoreThanTheChunk", kInvalid, "`exchange.sparse.max_values` = 1002"},
            ChangeDescriptor([](auto& e) { e.mutable_sparse()->set_max_values(1002); })},
        ExchangeOffence{{"SecondHalf", kInvalid, "`half` = 1, must be 0 for sparse(at most 3)"},
                        SetHalf(1)}),
    OffenceName);

// --- Signs that are relayed ---

class HostileRelayTest : public HostileExchangeTest {
 protected:
  HostileRelayTest() : HostileExchangeTest(SampleLayout()) {}
};

TEST_P(HostileRelayTest, IsRefusedAndTheRoundGoesOn) {
  ExpectRefusalAndResult(RelaySample());
  PlayRound(RelaySample());
}

INSTANTIATE_TEST_SUITE_P(
    Every, HostileRelayTest,
    testing::Values(
        ExchangeOffence{{"TooShort", kInvalid,
                         "`slice.total_bytes` = 141, must be 142 for sign_relay(block 256)"},
                        ChangePayload([](std::string& payload) { payload.pop_back(); })},
        ExchangeOffence{{"PaddedAsInTheResult", kInvalid, "`slice.total_bytes` = 144, must be 142"},
                        Lengthen(2)},
        ExchangeOffence{
            {"ScaleThatIsNone", kInvalid, "`payload.scales[3]` = nan, must be from +0 to 2^64"},
            PutValue(12, kNan)},
        ExchangeOffence{{"InfiniteScale", kInvalid, "`payload.scales[0]` = inf, must be from +0"},
                        PutValue(0, kInfinity)},
        ExchangeOffence{{"NegativeScale", kInvalid, "`payload.scales[1]` = -1, must be from +0"},
                        PutValue(4, -1)},
        ExchangeOffence{{"SignBeyondTheChunk", kInvalid,
                         "`payload.bits[125]` = 0x03, must have only its lower 1 bits set"},
                        ChangePayload([](std::string& payload) { payload.back() |= 0x2; })},
        ExchangeOffence{
            {"NoGranularity", kInvalid, "`exchange.sign_relay.granularity` is unset"},
            ChangeDescriptor([](auto& e) { e.mutable_sign_relay()->clear_granularity(); })},
        ExchangeOffence{
            {"BlocksThatDoNotFit", kInvalid,
             "`exchange.sign_relay.granularity.block_elements` = 768, must be a multiple"},
            ChangeDescriptor([](auto& e) {
              e.mutable_sign_relay()->mutable_granularity()->set_block_elements(768);
            })},
        ExchangeOffence{{"SecondHalf", kInvalid, "`half` = 1, must be 0 for sign_relay(block 256)"},
                        SetHalf(1)}),
    OffenceName);

// A job that may grow beyond 16 workers.
class HostileLargeRelayTest : public HostileRunTest {
 protected:
  HostileLargeRelayTest() : HostileRunTest(SampleLayout(), 17) {}
};

TEST_F(HostileLargeRelayTest, IsRefusedAndTheRoundGoesOn) {
  const ExchangeSample vote = VoteSample();
  for (RawWorker* worker : {first_, second_}) {
    worker->Send(worker->Contribution(0, vote.exchange, vote.contribution));
  }
  const ExchangeSample relay = RelaySample();
  third_->Send(third_->Contribution(0, relay.exchange, relay.contribution));
  EXPECT_THAT(third_->AwaitRefusal(),
              StatusIs(kInvalid, HasSubstr("`exchange` = sign_relay(block 256), must be another "
                                           "one for a job of up to 17 workers: signs are relayed "
                                           "to at most 16")));
  third_->Connect();
  third_->Send(third_->Contribution(0, vote.exchange, vote.contribution));
  EXPECT_EQ(AwaitSameResult(0, "\x07").payload, vote.result);
}

}  // namespace
}  // namespace tally
