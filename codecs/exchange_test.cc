#include "codecs/exchange.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "codecs/limits.h"
#include "codecs/sample_exchanges.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "kernels/dtype.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

constexpr size_t kDenseChunk = 2;  // of both layouts

v1::ExchangeDescriptor ParseExchange(const std::string& text) {
  v1::ExchangeDescriptor message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

constexpr char kSign[] = R"(
  sign {
    scale_rule: SCALE_RULE_ROOT_MEAN_SQUARE
    granularity { block_elements: 256 }
    residual_operation: RESIDUAL_OPERATION_KEEP
  }
  divisor: DIVISOR_PARTICIPANTS
)";
constexpr char kSketch[] = R"(
  sketch {
    hash_version: 1
    hash_seed: 42
    rows: 5
    columns: 32
    data_type: DATA_TYPE_FLOAT16
    num_candidates: 20
    with_estimates: true
  }
  divisor: DIVISOR_PARTICIPANTS
)";
constexpr char kValues[] = R"(
  values { num_values: 20 candidates_digest: 0xab data_type: DATA_TYPE_FLOAT16 }
  divisor: DIVISOR_ROSTER
)";

TEST(ExchangeTest, EveryExchangeSurvivesARoundTrip) {
  for (const Layout& layout : {ContiguousLayout(), DealtLayout()}) {
    for (size_t c = 0; c < layout.chunks().size(); ++c) {
      for (const Exchange& exchange : SampleExchanges(layout, c)) {
        SCOPED_TRACE(absl::StrCat(ExchangeName(exchange), ", chunk ", c));
        EXPECT_THAT(DecodeExchange(EncodeExchange(exchange), layout, c), IsOkAndHolds(exchange));
      }
    }
  }
}

TEST(ExchangeTest, DecodesEachFieldOfContiguousChunks) {
  const struct {
    const char* text;
    Exchange exchange;
  } kCases[] = {
      {kSign,
       {SignExchange{ScaleRule::kRootMeanSquare,
                     {ScaleGranularity::Unit::kBlock, 256},
                     /*zero_residual=*/false},
        Divisor::kParticipants}},
      {R"(sign {
            scale_rule: SCALE_RULE_MEAN_MAGNITUDE
            granularity { whole_model {} }
            residual_operation: RESIDUAL_OPERATION_ZERO
          }
          divisor: DIVISOR_ROSTER)",
       {SignExchange{ScaleRule::kMeanMagnitude, {ScaleGranularity::Unit::kModel}, true},
        Divisor::kRoster}},
      {"dense { data_type: DATA_TYPE_BFLOAT16 } divisor: DIVISOR_ROSTER",
       {DenseExchange{DType::kBFloat16}, Divisor::kRoster}},
      {"sign_relay { granularity { per_tensor {} } } divisor: DIVISOR_ROSTER",
       {SignRelayExchange{{ScaleGranularity::Unit::kTensor}}, Divisor::kRoster}},
      {"vote { result: VOTE_RESULT_DRAWN } divisor: DIVISOR_PARTICIPANTS",
       {VoteExchange{VoteResult::kDrawn}}},
      {"vote { result: VOTE_RESULT_MAJORITY } divisor: DIVISOR_PARTICIPANTS",
       {VoteExchange{VoteResult::kMajority}}},
      {"vote { result: VOTE_RESULT_COUNTS } divisor: DIVISOR_PARTICIPANTS",
       {VoteExchange{VoteResult::kCounts}}},
      {"sparse { max_values: 17 } divisor: DIVISOR_PARTICIPANTS", {SparseExchange{17}}},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.text);
    EXPECT_THAT(DecodeExchange(ParseExchange(test_case.text), ContiguousLayout(), 0),
                IsOkAndHolds(test_case.exchange));
  }
}

TEST(ExchangeTest, DecodesEachFieldOfDealtGroups) {
  EXPECT_THAT(DecodeExchange(ParseExchange(kSketch), DealtLayout(), 0),
              IsOkAndHolds(Exchange{SketchExchange{.hash_seed = 42,
                                                   .rows = 5,
                                                   .columns = 32,
                                                   .dtype = DType::kFloat16,
                                                   .num_candidates = 20,
                                                   .with_estimates = true}}));
  EXPECT_THAT(DecodeExchange(ParseExchange(kValues), DealtLayout(), 0),
              IsOkAndHolds(Exchange{ValuesExchange{20, 0xab, DType::kFloat16}, Divisor::kRoster}));
}

TEST(ExchangeTest, RefusesAKindThatIsUnsetOrUnknown) {
  v1::ExchangeDescriptor unset;
  unset.set_divisor(v1::DIVISOR_PARTICIPANTS);
  v1::ExchangeDescriptor unknown;
  // Field 14, an empty message.
  ASSERT_TRUE(unknown.ParseFromString(unset.SerializeAsString() + std::string("\x72\x00", 2)));
  for (const v1::ExchangeDescriptor& message : {unset, unknown}) {
    for (size_t c = 0; c <= kDenseChunk; ++c) {
      EXPECT_THAT(DecodeExchange(message, ContiguousLayout(), c),
                  StatusIs(absl::StatusCode::kUnimplemented,
                           HasSubstr("`exchange.kind` is unset or unknown to this build, must be "
                                     "dense, sign, sign_relay, vote, sketch, values or sparse")));
    }
  }
}

TEST(ExchangeTest, RefusesAHashVersionThatIsUnsetOrUnknown) {
  for (const uint32_t version : {0u, 2u, ~0u}) {
    SCOPED_TRACE(version);
    v1::ExchangeDescriptor message = ParseExchange(kSketch);
    message.mutable_sketch()->set_hash_version(version);
    EXPECT_THAT(
        DecodeExchange(message, DealtLayout(), 0),
        StatusIs(absl::StatusCode::kUnimplemented,
                 absl::StrCat("`exchange.sketch.hash_version` = ", version, ", must be 1")));
  }
}

struct Refusal {
  void (*change)(v1::ExchangeDescriptor&);
  const char* message;
};

void ExpectRefusals(const char* valid, const Layout& layout, absl::Span<const Refusal> refusals) {
  ASSERT_THAT(DecodeExchange(ParseExchange(valid), layout, 0), IsOk());
  for (const Refusal& refusal : refusals) {
    SCOPED_TRACE(refusal.message);
    v1::ExchangeDescriptor message = ParseExchange(valid);
    refusal.change(message);
    EXPECT_THAT(DecodeExchange(message, layout, 0),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(refusal.message)));
  }
}

TEST(ExchangeTest, RefusesFieldsOfContiguousChunksThatBreakARule) {
  constexpr Refusal kRefusals[] = {
      {[](v1::ExchangeDescriptor& m) { m.clear_divisor(); },
       "`exchange.divisor` = 0, must be DIVISOR_PARTICIPANTS or DIVISOR_ROSTER"},
      {[](v1::ExchangeDescriptor& m) { m.set_divisor(static_cast<v1::Divisor>(3)); },
       "`exchange.divisor` = 3"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sign()->clear_scale_rule(); },
       "`exchange.sign.scale_rule` = 0, must be SCALE_RULE_ROOT_MEAN_SQUARE or "
       "SCALE_RULE_MEAN_MAGNITUDE"},
      {[](v1::ExchangeDescriptor& m) {
         m.mutable_sign()->set_scale_rule(static_cast<v1::ScaleRule>(-7));
       },
       "`exchange.sign.scale_rule` = -7"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sign()->clear_residual_operation(); },
       "`exchange.sign.residual_operation` = 0, must be RESIDUAL_OPERATION_KEEP or "
       "RESIDUAL_OPERATION_ZERO"},
      {[](v1::ExchangeDescriptor& m) {
         m.mutable_sign()->set_residual_operation(static_cast<v1::ResidualOperation>(9));
       },
       "`exchange.sign.residual_operation` = 9"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sign()->clear_granularity(); },
       "`exchange.sign.granularity` is unset, must be block_elements, per_tensor or whole_model"},
      {[](v1::ExchangeDescriptor& m) {
         m.mutable_sign()->mutable_granularity()->clear_granularity();
       },
       "`exchange.sign.granularity` is unset"},
      {[](v1::ExchangeDescriptor& m) {
         m.mutable_sign()->mutable_granularity()->set_block_elements(0);
       },
       "`exchange.sign.granularity.block_elements` = 0, must be a multiple of 256 that divides the "
       "layout's chunk_elements (512)"},
      {[](v1::ExchangeDescriptor& m) {
         m.mutable_sign()->mutable_granularity()->set_block_elements(128);
       },
       "block_elements` = 128"},
      {[](v1::ExchangeDescriptor& m) {
         m.mutable_sign()->mutable_granularity()->set_block_elements(1024);
       },
       "block_elements` = 1024"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_dense(); },
       "`exchange.dense.data_type` = 0, must be DATA_TYPE_FLOAT32, DATA_TYPE_FLOAT16 or "
       "DATA_TYPE_BFLOAT16"},
      {[](v1::ExchangeDescriptor& m) {
         m.mutable_dense()->set_data_type(static_cast<v1::DataType>(4));
       },
       "`exchange.dense.data_type` = 4"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sign_relay(); },
       "`exchange.sign_relay.granularity` is unset"},
      {[](v1::ExchangeDescriptor& m) {
         m.mutable_sign_relay()->mutable_granularity()->set_block_elements(300);
       },
       "`exchange.sign_relay.granularity.block_elements` = 300, must be a multiple of 256"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_vote(); },
       "`exchange.vote.result` = 0, must be VOTE_RESULT_DRAWN, VOTE_RESULT_MAJORITY or "
       "VOTE_RESULT_COUNTS"},
      {[](v1::ExchangeDescriptor& m) {
         m.mutable_vote()->set_result(static_cast<v1::VoteResult>(4));
       },
       "`exchange.vote.result` = 4"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sparse(); },
       "`exchange.sparse.max_values` = 0, must be from 1 to 512, the chunk's elements"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sparse()->set_max_values(513); },
       "`exchange.sparse.max_values` = 513"},
  };
  ExpectRefusals(kSign, ContiguousLayout(), kRefusals);
}

TEST(ExchangeTest, RefusesFieldsOfSketchesThatBreakARule) {
  constexpr Refusal kRefusals[] = {
      {[](v1::ExchangeDescriptor& m) { m.mutable_sketch()->set_rows(0); },
       "`exchange.sketch.rows` = 0, must be odd and at most 15"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sketch()->set_rows(4); },
       "`exchange.sketch.rows` = 4"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sketch()->set_rows(17); },
       "`exchange.sketch.rows` = 17"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sketch()->set_columns(0); },
       "`exchange.sketch.columns` = 0, must be a multiple of 16 and make at most 65536 cells with "
       "5 rows"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sketch()->set_columns(24); },
       "`exchange.sketch.columns` = 24"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sketch()->set_columns(13'120); },
       "`exchange.sketch.columns` = 13120"},
      // In 32 bits 16 cells.
      {[](v1::ExchangeDescriptor& m) { m.mutable_sketch()->set_columns(3'435'973'840); },
       "`exchange.sketch.columns` = 3435973840"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sketch()->set_num_candidates(0); },
       "`exchange.sketch.num_candidates` = 0, must be from 1 to "},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sketch()->set_num_candidates(701); },
       "`exchange.sketch.num_candidates` = 701"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_sketch()->clear_data_type(); },
       "`exchange.sketch.data_type` = 0"},
      {[](v1::ExchangeDescriptor& m) { m.clear_divisor(); }, "`exchange.divisor` = 0"},
  };
  ExpectRefusals(kSketch, DealtLayout(), kRefusals);
}

TEST(ExchangeTest, RefusesFieldsOfValuesThatBreakARule) {
  constexpr Refusal kRefusals[] = {
      {[](v1::ExchangeDescriptor& m) { m.mutable_values()->set_num_values(0); },
       "`exchange.values.num_values` = 0, must be from 1 to "},
      {[](v1::ExchangeDescriptor& m) { m.mutable_values()->set_num_values(701); },
       "`exchange.values.num_values` = 701"},
      {[](v1::ExchangeDescriptor& m) { m.mutable_values()->clear_data_type(); },
       "`exchange.values.data_type` = 0"},
  };
  ExpectRefusals(kValues, DealtLayout(), kRefusals);
}

TEST(ExchangeTest, CountsGoUpToTheGroupsElements) {
  const Layout layout = DealtLayout();
  for (size_t c = 0; c < 2; ++c) {
    const uint32_t num_elements = layout.chunks()[c].num_elements;
    v1::ExchangeDescriptor message = ParseExchange(kSketch);
    message.mutable_sketch()->set_num_candidates(num_elements);
    EXPECT_THAT(DecodeExchange(message, layout, c), IsOk());
    message.mutable_sketch()->set_num_candidates(num_elements + 1);
    EXPECT_THAT(
        DecodeExchange(message, layout, c),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 HasSubstr(absl::StrCat("must be from 1 to ", num_elements, ", the chunk's"))));
  }
}

TEST(ExchangeTest, ASketchMayHaveAsManyCellsAsALargeGroupHasElements) {
  const auto layout = Layout::Create({{"a", 70'016}}, 512, DealingOptions{.num_groups = 1});
  ASSERT_THAT(layout, IsOk());
  v1::ExchangeDescriptor message = ParseExchange(kSketch);
  message.mutable_sketch()->set_rows(1);
  message.mutable_sketch()->set_columns(70'016);
  EXPECT_THAT(DecodeExchange(message, *layout, 0), IsOk());
  message.mutable_sketch()->set_columns(70'032);
  EXPECT_THAT(DecodeExchange(message, *layout, 0),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("make at most 70016 cells with 1 rows")));
}

TEST(ExchangeTest, RefusesABlockThatDoesNotDivideTheChunk) {
  const absl::StatusOr<Layout> layout = Layout::Create({{"a", 5000}}, 1024);
  ASSERT_THAT(layout, IsOk());
  v1::ExchangeDescriptor message = ParseExchange(kSign);
  message.mutable_sign()->mutable_granularity()->set_block_elements(768);
  EXPECT_THAT(DecodeExchange(message, *layout, 0),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("block_elements` = 768, must be a multiple of 256 that divides "
                                 "the layout's chunk_elements (1024)")));
}

TEST(ExchangeTest, RefusesKindsThatDoNotFitTheChunk) {
  const Layout contiguous = ContiguousLayout();
  const Layout dealt = DealtLayout();
  const std::string contiguous_kinds[] = {"sign", "sign_relay", "vote", "sparse"};
  const std::string dealt_kinds[] = {"sketch", "values"};
  const auto refusal = [](const std::string& kind, const Layout& layout, size_t chunk) {
    return DecodeExchange(ParseExchange(kind + " {} divisor: DIVISOR_ROSTER"), layout, chunk);
  };
  for (const std::string& kind : contiguous_kinds) {
    SCOPED_TRACE(kind);
    EXPECT_THAT(refusal(kind, contiguous, kDenseChunk),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         absl::StrCat("`exchange.kind` = ", kind,
                                      ", must be dense for chunk 2, which lies in the layout's "
                                      "dense part")));
    EXPECT_THAT(refusal(kind, dealt, 1),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         absl::StrCat("`exchange.kind` = ", kind,
                                      ", must be dense, sketch or values for chunk 1, which is a "
                                      "dealt group")));
  }
  for (const std::string& kind : dealt_kinds) {
    SCOPED_TRACE(kind);
    EXPECT_THAT(refusal(kind, dealt, kDenseChunk),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat("`exchange.kind` = ", kind,
                                                ", must be dense for chunk 2"))));
    EXPECT_THAT(refusal(kind, contiguous, 1),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         absl::StrCat("`exchange.kind` = ", kind,
                                      ", must be dense, sign, sign_relay, vote or sparse for chunk "
                                      "1, which is not a dealt group")));
  }
}

TEST(ExchangeTest, OnlySketchesWithoutEstimatesHaveASecondHalfAndOnlyValuesAreOne) {
  for (const Layout& layout : {ContiguousLayout(), DealtLayout()}) {
    for (const Exchange& exchange : SampleExchanges(layout, 0)) {
      SCOPED_TRACE(ExchangeName(exchange));
      const auto* sketch = absl::get_if<SketchExchange>(&exchange.kind);
      EXPECT_EQ(HasSecondHalf(exchange), sketch != nullptr && !sketch->with_estimates);
      EXPECT_EQ(IsSecondHalf(exchange), absl::holds_alternative<ValuesExchange>(exchange.kind));
    }
  }
}

TEST(ExchangeTest, NamesSayWhatIsExchanged) {
  const struct {
    Exchange exchange;
    const char* name;
  } kCases[] = {
      {{DenseExchange{DType::kFloat32}}, "dense(FLOAT32)"},
      {{DenseExchange{DType::kBFloat16}, Divisor::kRoster}, "dense(BFLOAT16, over roster)"},
      {{SignExchange{}}, "sign(RMS, block 4096)"},
      {{SignExchange{ScaleRule::kMeanMagnitude, {ScaleGranularity::Unit::kTensor}, true},
        Divisor::kRoster},
       "sign(mean magnitude, per tensor, residual zeroed, over roster)"},
      {{SignRelayExchange{{ScaleGranularity::Unit::kModel}}}, "sign_relay(whole model)"},
      {{VoteExchange{VoteResult::kDrawn}}, "vote(drawn)"},
      {{VoteExchange{VoteResult::kMajority}}, "vote(majority)"},
      {{VoteExchange{VoteResult::kCounts}, Divisor::kRoster}, "vote(counts, over roster)"},
      {{SketchExchange{0x1f, 5, 7808, DType::kBFloat16, 782}},
       "sketch(5x7808 BFLOAT16, 782 candidates, seed 0x1f)"},
      {{SketchExchange{0, 1, 16, DType::kFloat32, 3, /*with_estimates=*/true}},
       "sketch(1x16 FLOAT32, 3 estimates, seed 0x0)"},
      {{ValuesExchange{782, 0xabc, DType::kFloat32}}, "values(782 FLOAT32, of 0xabc)"},
      {{SparseExchange{17}}, "sparse(at most 17)"},
  };
  for (const auto& test_case : kCases) {
    EXPECT_EQ(ExchangeName(test_case.exchange), test_case.name);
  }
}

TEST(ExchangeTest, NamesTellExchangesApart) {
  std::vector<std::string> names;
  // The dense ones of the second layout are those of the first.
  for (const Exchange& exchange : SampleExchanges(ContiguousLayout(), 0)) {
    names.push_back(ExchangeName(exchange));
  }
  for (const Exchange& exchange : SampleExchanges(DealtLayout(), 0)) {
    if (absl::holds_alternative<DenseExchange>(exchange.kind)) continue;
    names.push_back(ExchangeName(exchange));
  }
  std::sort(names.begin(), names.end());
  const auto repeated = std::adjacent_find(names.begin(), names.end());
  EXPECT_EQ(repeated, names.end()) << (repeated == names.end() ? "" : *repeated);
}

}  // namespace
}  // namespace tally
