// Wrong tables, and values that do not answer them: each gets a typed error that names field,
// value and rule and ends its own stream; the exchange goes on with the others, the offender, once
// it has come back, among them.
#include <limits>
#include <string>

#include "codecs/exchange.h"
#include "gtest/gtest.h"
#include "proto/tally/v1/exchange.pb.h"
#include "tests/hostile/exchange_samples.h"
#include "tests/hostile/hostile_exchange_fixture.h"
#include "tests/hostile/hostile_fixture.h"
#include "tests/util/contribution_builder.h"

namespace tally {
namespace {

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr absl::StatusCode kUnimplemented = absl::StatusCode::kUnimplemented;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// --- First halves: tables ---

class HostileSketchTest : public HostileExchangeTest {
 protected:
  HostileSketchTest() : HostileExchangeTest(SampleDealtLayout()) {}
};

TEST_P(HostileSketchTest, IsRefusedAndTheRoundGoesOn) {
  ExpectRefusalAndResult(SketchSample());
  PlayRound(ValuesSample(SketchSample()));
}

INSTANTIATE_TEST_SUITE_P(
    Every, HostileSketchTest,
    testing::Values(
        ExchangeOffence{{"TableOfFewerColumns", kInvalid,
                         "`slice.total_bytes` = 2880, must be 3072 for sketch(3x256 FLOAT32, 2"},
                        ChangePayload([](std::string& payload) { payload.resize(3 * 240 * 4); })},
        ExchangeOffence{{"TableOfMoreRows", kInvalid, "`slice.total_bytes` = 5120, must be 3072"},
                        Lengthen(2 * 256 * 4)},
        ExchangeOffence{{"CellThatIsNone", kInvalid,
                         "`payload[17]` = nan, must be finite and at most 2^64 in magnitude"},
                        PutValue(4 * 17, kNan)},
        ExchangeOffence{{"InfiniteCell", kInvalid, "`payload[767]` = inf, must be finite"},
                        PutValue(4 * 767, kInfinity)},
        ExchangeOffence{{"HugeCell", kInvalid, "`payload[0]` = 3e+38, must be finite and at most"},
                        PutValue(0, 3e38f)},
        ExchangeOffence{
            {"OtherHashFamily", kUnimplemented, "`exchange.sketch.hash_version` = 2, must be 1"},
            ChangeDescriptor([](auto& e) { e.mutable_sketch()->set_hash_version(2); })},
        ExchangeOffence{
            {"EvenRows", kInvalid, "`exchange.sketch.rows` = 4, must be odd and at most 15"},
            ChangeDescriptor([](auto& e) { e.mutable_sketch()->set_rows(4); })},
        ExchangeOffence{{"TooManyRows", kInvalid, "`exchange.sketch.rows` = 17, must be odd and"},
                        ChangeDescriptor([](auto& e) { e.mutable_sketch()->set_rows(17); })},
        ExchangeOffence{{"ColumnsOutsideOfRuns", kInvalid,
                         "`exchange.sketch.columns` = 250, must be a multiple of 16"},
                        ChangeDescriptor([](auto& e) { e.mutable_sketch()->set_columns(250); })},
        ExchangeOffence{{"TooManyCells", kInvalid,
                         "`exchange.sketch.columns` = 21856, must be a multiple of 16 and make at "
                         "most 65536 cells with 3 rows"},
                        ChangeDescriptor([](auto& e) { e.mutable_sketch()->set_columns(21'856); })},
        ExchangeOffence{
            {"NoCandidates", kInvalid,
             "`exchange.sketch.num_candidates` = 0, must be from 1 to 1024"},
            ChangeDescriptor([](auto& e) { e.mutable_sketch()->set_num_candidates(0); })},
        ExchangeOffence{
            {"MoreCandidatesThanElements", kInvalid,
             "`exchange.sketch.num_candidates` = 1025, must be from 1 to 1024"},
            ChangeDescriptor([](auto& e) { e.mutable_sketch()->set_num_candidates(1025); })},
        ExchangeOffence{{"UnknownNumbers", kInvalid, "`exchange.sketch.data_type` = 7, must be"},
                        ChangeDescriptor([](auto& e) {
                          e.mutable_sketch()->set_data_type(static_cast<v1::DataType>(7));
                        })},
        ExchangeOffence{{"SecondHalf", kInvalid, "`half` = 1, must be 0 for sketch(3x256"},
                        SetHalf(1)},
        ExchangeOffence{{"ValuesBeforeTheirTime", kPrecondition,
                         "chunk 0, round 0, half 1: `round` must be the open one, round 0"},
                        [](TestContribution& c) {
                          Replace(ValuesSample(SketchSample()))(c);
                          SetHalf(1)(c);
                        }},
        ExchangeOffence{{"VotesForAGroup", kInvalid,
                         "`exchange.kind` = vote, must be dense, sketch or values for chunk 0, "
                         "which is a dealt group"},
                        ChangeDescriptor([](auto& e) { e.mutable_vote(); })}),
    OffenceName);

// Sketches need groups.
class HostileKindTest : public HostileExchangeTest {
 protected:
  HostileKindTest() : HostileExchangeTest(SampleLayout()) {}
};

TEST_P(HostileKindTest, IsRefusedAndTheRoundGoesOn) { ExpectRefusalAndResult(VoteSample()); }

INSTANTIATE_TEST_SUITE_P(
    Every, HostileKindTest,
    testing::Values(
        ExchangeOffence{
            {"SketchOfAChunkThatIsNotDealt", kInvalid,
             "`exchange.kind` = sketch, must be dense, sign, sign_relay, vote or "
             "sparse for chunk 0, which is not a dealt group"},
            ChangeDescriptor([](auto& e) { e = EncodeExchange(SketchSample().exchange); })},
        ExchangeOffence{{"ValuesOfAChunkThatIsNotDealt", kInvalid,
                         "`exchange.kind` = values, must be dense, sign, sign_relay, vote or "
                         "sparse for chunk 0"},
                        ChangeDescriptor([](auto& e) { e.mutable_values(); })}),
    OffenceName);

// --- Second halves: values ---

class HostileValuesTest : public HostileExchangeTest {
 protected:
  HostileValuesTest() : HostileExchangeTest(SampleDealtLayout()) {}
};

// In the second round, so that there are candidates of another one.
TEST_P(HostileValuesTest, IsRefusedAndTheRoundGoesOn) {
  const ExchangeSample earlier = SketchSample(1);
  PlayRound(earlier);
  PlayRound(ValuesSample(earlier));
  const ExchangeSample sketch = SketchSample(2);
  PlayRound(sketch);
  ExpectRefusalAndResult(ValuesSample(sketch));
  PlayRound(sketch);
}

void SetDigest(v1::ExchangeDescriptor& exchange, const ExchangeSample& first_half) {
  exchange.mutable_values()->set_candidates_digest(
      absl::get<ValuesExchange>(ValuesSample(first_half).exchange.kind).candidates_digest);
}

INSTANTIATE_TEST_SUITE_P(
    Every, HostileValuesTest,
    testing::Values(
        ExchangeOffence{{"CandidatesOfAnotherRound", kInvalid,
                         ", must be of the 2 elements that the first half chose, payload digest "},
                        ChangeDescriptor([](auto& e) { SetDigest(e, SketchSample(1)); })},
        ExchangeOffence{
            {"CandidatesOfNoRound", kInvalid,
             "chunk 0, round 1, half 1: `exchange` = values(2 FLOAT32, of 0xbad), "
             "must be of the 2 elements that the first half chose"},
            ChangeDescriptor([](auto& e) { e.mutable_values()->set_candidates_digest(0xbad); })},
        ExchangeOffence{{"ValuesThatNobodyAskedFor", kInvalid,
                         ", must be of the 2 elements that the first half chose"},
                        [](TestContribution& c) {
                          c.message.mutable_exchange()->mutable_values()->set_num_values(3);
                          c.payload += DensePayload({1});
                          c.Sign();
                        }},
        ExchangeOffence{{"FewerValuesThanAskedFor", kInvalid,
                         ", must be of the 2 elements that the first half chose"},
                        [](TestContribution& c) {
                          c.message.mutable_exchange()->mutable_values()->set_num_values(1);
                          c.payload.resize(4);
                          c.Sign();
                        }},
        ExchangeOffence{{"MoreValuesThanSaid", kInvalid,
                         "`slice.total_bytes` = 12, must be 8 for values(2 FLOAT32"},
                        Lengthen(4)},
        ExchangeOffence{
            {"NoValues", kInvalid, "`exchange.values.num_values` = 0, must be from 1 to 1024"},
            ChangeDescriptor([](auto& e) { e.mutable_values()->set_num_values(0); })},
        ExchangeOffence{
            {"MoreValuesThanElements", kInvalid,
             "`exchange.values.num_values` = 1025, must be from 1 to 1024"},
            ChangeDescriptor([](auto& e) { e.mutable_values()->set_num_values(1025); })},
        ExchangeOffence{{"UnknownNumbers", kInvalid, "`exchange.values.data_type` = 0, must be"},
                        ChangeDescriptor([](auto& e) { e.mutable_values()->clear_data_type(); })},
        ExchangeOffence{{"ValueThatIsNone", kInvalid, "`payload[1]` = nan, must be finite and at"},
                        PutValue(4, kNan)},
        ExchangeOffence{{"InfiniteValue", kInvalid, "`payload[0]` = -inf, must be finite"},
                        PutValue(0, -kInfinity)},
        ExchangeOffence{{"FirstHalf", kInvalid, "`half` = 0, must be 1 for values(2 FLOAT32"},
                        SetHalf(0)},
        ExchangeOffence{{"AnotherTableInsteadOfValues", kInvalid, "`half` = 1, must be 0 for "},
                        Replace(SketchSample(2))}),
    OffenceName);

}  // namespace
}  // namespace tally
