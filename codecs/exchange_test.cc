#include "codecs/exchange.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/buffer.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "kernels/backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

const Backend& AnyBackend() { return *SupportedBackends().front(); }

// Chunks 0 and 1 (512 and 88 elements, one of them masked) are compressed, chunk 2 (10) is dense.
Layout SmallLayout() {
  absl::StatusOr<Layout> layout = Layout::Create({{"a", 500, Treatment::kCompressed, {{3, 4}}},
                                                  {"b", 100, Treatment::kCompressed},
                                                  {"c", 10, Treatment::kDense, {{0, 1}}}},
                                                 512);
  EXPECT_THAT(layout, IsOk());
  return *std::move(layout);
}
constexpr size_t kDenseChunk = 2;

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

std::vector<Exchange> AllExchanges(const Layout& layout) {
  std::vector<Exchange> exchanges;
  for (const Divisor divisor : {Divisor::kParticipants, Divisor::kRoster}) {
    for (const DType dtype : kDTypes) exchanges.push_back({DenseExchange{dtype}, divisor});
    std::vector<ScaleGranularity> granularities = {{ScaleGranularity::Unit::kTensor},
                                                   {ScaleGranularity::Unit::kModel}};
    for (uint32_t block = 256; block <= layout.chunk_elements(); block += 256) {
      if (layout.chunk_elements() % block == 0) {
        granularities.push_back({ScaleGranularity::Unit::kBlock, block});
      }
    }
    for (const ScaleGranularity& granularity : granularities) {
      for (const ScaleRule rule : {ScaleRule::kRootMeanSquare, ScaleRule::kMeanMagnitude}) {
        exchanges.push_back({SignExchange{rule, granularity, false}, divisor});
        exchanges.push_back({SignExchange{rule, granularity, true}, divisor});
      }
    }
  }
  return exchanges;
}

TEST(ExchangeTest, EveryExchangeSurvivesARoundTrip) {
  const Layout layout = SmallLayout();
  for (const Exchange& exchange : AllExchanges(layout)) {
    SCOPED_TRACE(ExchangeName(exchange));
    EXPECT_THAT(DecodeExchange(EncodeExchange(exchange), layout, 0), IsOkAndHolds(exchange));
  }
}

TEST(ExchangeTest, DecodesEachField) {
  EXPECT_THAT(DecodeExchange(ParseExchange(kSign), SmallLayout(), 0),
              IsOkAndHolds(Exchange{SignExchange{ScaleRule::kRootMeanSquare,
                                                 {ScaleGranularity::Unit::kBlock, 256},
                                                 /*zero_residual=*/false},
                                    Divisor::kParticipants}));
  EXPECT_THAT(DecodeExchange(ParseExchange(R"(
                       sign {
                         scale_rule: SCALE_RULE_MEAN_MAGNITUDE
                         granularity { whole_model {} }
                         residual_operation: RESIDUAL_OPERATION_ZERO
                       }
                       divisor: DIVISOR_ROSTER
                     )"),
                             SmallLayout(), 0),
              IsOkAndHolds(Exchange{
                  SignExchange{ScaleRule::kMeanMagnitude, {ScaleGranularity::Unit::kModel}, true},
                  Divisor::kRoster}));
  EXPECT_THAT(DecodeExchange(ParseExchange("dense { data_type: DATA_TYPE_BFLOAT16 } "
                                           "divisor: DIVISOR_ROSTER"),
                             SmallLayout(), kDenseChunk),
              IsOkAndHolds(Exchange{DenseExchange{DType::kBFloat16}, Divisor::kRoster}));
}

TEST(ExchangeTest, RefusesAKindThatIsUnsetOrUnknown) {
  v1::ExchangeDescriptor unset;
  unset.set_divisor(v1::DIVISOR_PARTICIPANTS);
  v1::ExchangeDescriptor unknown = unset;
  // Field 14, an empty message.
  ASSERT_TRUE(unknown.ParseFromString(unset.SerializeAsString() + std::string("\x72\x00", 2)));
  for (const v1::ExchangeDescriptor& message : {unset, unknown}) {
    EXPECT_THAT(DecodeExchange(message, SmallLayout(), 0),
                StatusIs(absl::StatusCode::kUnimplemented,
                         HasSubstr("`exchange.kind` is unset or unknown to this build")));
  }
}

TEST(ExchangeTest, RefusesFieldsThatBreakARule) {
  using Change = void (*)(v1::ExchangeDescriptor&);
  const struct {
    Change change;
    const char* message;
  } kCases[] = {
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
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.message);
    v1::ExchangeDescriptor message = ParseExchange(kSign);
    test_case.change(message);
    EXPECT_THAT(DecodeExchange(message, SmallLayout(), 0),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test_case.message)));
  }
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

TEST(ExchangeTest, RefusesToCompressTheDensePart) {
  EXPECT_THAT(DecodeExchange(ParseExchange(kSign), SmallLayout(), kDenseChunk),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`exchange.kind` = sign(RMS, block 256), must be dense for chunk 2")));
}

TEST(ExchangeTest, NamesTellExchangesApart) {
  EXPECT_EQ(ExchangeName({DenseExchange{DType::kFloat32}}), "dense(FLOAT32)");
  EXPECT_EQ(ExchangeName({DenseExchange{DType::kBFloat16}, Divisor::kRoster}),
            "dense(BFLOAT16, over roster)");
  EXPECT_EQ(ExchangeName({SignExchange{}}), "sign(RMS, block 4096)");
  EXPECT_EQ(ExchangeName({SignExchange{ScaleRule::kMeanMagnitude,
                                       {ScaleGranularity::Unit::kTensor},
                                       /*zero_residual=*/true},
                          Divisor::kRoster}),
            "sign(mean magnitude, per tensor, residual zeroed, over roster)");
  std::vector<std::string> names;
  for (const Exchange& exchange : AllExchanges(SmallLayout())) {
    names.push_back(ExchangeName(exchange));
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST(ExchangeTest, PayloadBytesFollowTheCodecs) {
  const Layout layout = SmallLayout();
  EXPECT_EQ(ContributionSize({DenseExchange{DType::kFloat32}}, layout, 1).max_bytes, 4u * 88);
  EXPECT_EQ(ContributionSize({DenseExchange{DType::kFloat16}}, layout, kDenseChunk).max_bytes,
            2u * 10);
  const auto sign = [](ScaleGranularity granularity) {
    return Exchange{SignExchange{.granularity = granularity}};
  };
  EXPECT_EQ(ContributionSize(sign({ScaleGranularity::Unit::kBlock, 256}), layout, 0).max_bytes,
            2u * 4 + 64);
  EXPECT_EQ(ContributionSize(sign({ScaleGranularity::Unit::kTensor}), layout, 0).max_bytes,
            2u * 4 + 64);
  EXPECT_EQ(ContributionSize(sign({ScaleGranularity::Unit::kModel}), layout, 0).max_bytes, 4u + 64);
  EXPECT_EQ(ContributionSize(sign({ScaleGranularity::Unit::kTensor}), layout, 1).max_bytes,
            4u + 11);
}

TEST(ExchangeTest, BoundsOfPayloadsCountTheScalesOfTinyTensors) {
  std::vector<Tensor> tensors;
  for (int t = 0; t < 512; ++t) tensors.push_back({absl::StrCat(t), 1});
  const absl::StatusOr<Layout> layout = Layout::Create(std::move(tensors), 512);
  ASSERT_THAT(layout, IsOk());
  EXPECT_GE(MaxContributionBytes(*layout, 0), 512u * 4 + 64);
  EXPECT_GE(MaxResultBytes(*layout, 0, 100), kMaxRelayParticipants * (512u * 4 + 64));
}

TEST(ExchangeTest, NoPayloadIsLargerThanTheBounds) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937 random(seed);
    const auto below = [&random](uint32_t n) { return static_cast<uint32_t>(random() % n); };
    // From tensors of one element to tensors of several chunks.
    const uint32_t largest = 1u << below(12);
    std::vector<Tensor> tensors;
    const size_t count = 1 + below(300);
    for (size_t t = 0; t < count; ++t) {
      tensors.push_back({absl::StrCat(t), 1 + below(largest),
                         below(4) == 0 ? Treatment::kDense : Treatment::kCompressed});
    }
    const absl::StatusOr<Layout> layout = Layout::Create(std::move(tensors), 256 * (1 + below(8)));
    ASSERT_THAT(layout, IsOk());
    for (size_t c = 0; c < layout->chunks().size(); ++c) {
      uint64_t largest_bytes = 0;
      for (const Exchange& exchange : AllExchanges(*layout)) {
        if (!DecodeExchange(EncodeExchange(exchange), *layout, c).ok()) continue;
        largest_bytes = std::max(largest_bytes, ContributionSize(exchange, *layout, c).max_bytes);
      }
      ASSERT_GE(MaxContributionBytes(*layout, c), largest_bytes) << "chunk " << c;
    }
  }
}

// A valid payload of zeros for every exchange.
Buffer ZeroPayload(const Exchange& exchange, const Layout& layout, size_t chunk) {
  Buffer payload(ContributionSize(exchange, layout, chunk).max_bytes);
  std::fill(payload.bytes().begin(), payload.bytes().end(), uint8_t{0});
  return payload;
}

TEST(ExchangeTest, ValidatesPayloadsOfTheirExactSizeOnly) {
  const Layout layout = SmallLayout();
  for (size_t c = 0; c < layout.chunks().size(); ++c) {
    for (const Exchange& exchange : AllExchanges(layout)) {
      if (!DecodeExchange(EncodeExchange(exchange), layout, c).ok()) continue;
      SCOPED_TRACE(absl::StrCat(ExchangeName(exchange), ", chunk ", c));
      const Buffer payload = ZeroPayload(exchange, layout, c);
      EXPECT_THAT(ValidateContribution(exchange, layout, c, payload.bytes(), AnyBackend()), IsOk());
      EXPECT_THAT(
          ValidateContribution(exchange, layout, c, payload.bytes().subspan(0, payload.size() - 1),
                               AnyBackend()),
          StatusIs(absl::StatusCode::kInvalidArgument,
                   HasSubstr(absl::StrCat("`payload` has ", payload.size() - 1, " bytes"))));
      EXPECT_THAT(ValidateContribution(exchange, layout, c, {}, AnyBackend()),
                  StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`payload` has 0 bytes")));
    }
  }
}

TEST(ExchangeTest, AppliesTheRulesOfTheCodec) {
  const Layout layout = SmallLayout();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Exchange& exchange :
       {Exchange{SignExchange{.granularity = {.unit = ScaleGranularity::Unit::kTensor}}},
        Exchange{DenseExchange{DType::kFloat32}}}) {
    SCOPED_TRACE(ExchangeName(exchange));
    Buffer payload = ZeroPayload(exchange, layout, 0);
    std::memcpy(payload.data() + sizeof(nan), &nan, sizeof(nan));
    EXPECT_THAT(ValidateContribution(exchange, layout, 0, payload.bytes(), AnyBackend()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("[1]` = nan, must be")));
  }
}

TEST(ExchangeTest, IgnoresTheSignsOfMaskedElements) {
  const Layout layout = SmallLayout();
  const Exchange exchange = {SignExchange{.granularity = {.unit = ScaleGranularity::Unit::kModel}}};
  Buffer payload = ZeroPayload(exchange, layout, 0);
  payload.bytes()[sizeof(float)] = 1 << 3;
  EXPECT_THAT(ValidateContribution(exchange, layout, 0, payload.bytes(), AnyBackend()), IsOk());
}

TEST(ExchangeTest, RefusesDenseValuesThatAreNotFiniteAlsoWhereMasked) {
  const Layout layout = SmallLayout();
  const Exchange exchange = {DenseExchange{DType::kFloat32}};
  Buffer payload = ZeroPayload(exchange, layout, kDenseChunk);
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(payload.data(), &infinity, sizeof(infinity));
  EXPECT_THAT(ValidateContribution(exchange, layout, kDenseChunk, payload.bytes(), AnyBackend()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`payload[0]` = inf")));
}

}  // namespace
}  // namespace tally
