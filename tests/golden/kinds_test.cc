// The golden messages of every kind of exchange mean what docs/wire-format.md says: their payloads
// follow from each other, and from what that page names beside them.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "base/digest.h"
#include "base/philox.h"
#include "codecs/draw_key.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/layout_codec.h"
#include "codecs/place.h"
#include "codecs/roster.h"
#include "codecs/sign_relay_codec.h"
#include "codecs/sparse_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"
#include "kernels/host_backends.h"
#include "kernels/sketch_hash.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "tests/golden/golden_file.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr size_t kChunk = 0;
constexpr size_t kElements = 12;  // of that chunk of the contiguous layout
constexpr uint32_t kParticipants = 2;

const Backend& AnyBackend() { return *HostBackends().front(); }

template <typename Message>
Message Golden(absl::string_view name) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(GoldenBytes(name))) << name;
  return message;
}

Layout DecodedLayout(const v1::Layout& message) {
  absl::StatusOr<Layout> layout = DecodeLayout(message);
  EXPECT_THAT(layout, IsOk());
  return *std::move(layout);
}

Layout DealtLayout() { return DecodedLayout(Golden<v1::Layout>("dealt_layout")); }

// Aligned, as payloads are.
Buffer BufferOf(const std::string& bytes) {
  Buffer buffer(bytes.size());
  std::copy(bytes.begin(), bytes.end(), buffer.bytes().begin());
  return buffer;
}

Buffer ContributionPayload(const std::string& kind) {
  return BufferOf(Golden<v1::ClientMessage>(kind + "_contribution").payload());
}

Buffer ResultPayload(const std::string& kind) {
  return BufferOf(Golden<v1::ServerMessage>(kind + "_result").payload());
}

std::vector<float> Floats(const Buffer& payload) {
  std::vector<float> values(payload.size() / sizeof(float));
  EXPECT_THAT(AnyBackend().DecodeDense(DType::kFloat32, payload.bytes(), absl::MakeSpan(values)),
              IsOk());
  return values;
}

struct GoldenKind {
  const char* kind;
  const char* name;
  bool dealt = false;
};

class GoldenKindTest : public testing::TestWithParam<GoldenKind> {
 protected:
  Layout ItsLayout() const {
    return GetParam().dealt ? DealtLayout()
                            : DecodedLayout(Golden<v1::ClientMessage>("hello").hello().layout());
  }
};

TEST_P(GoldenKindTest, ContributionFollowsItsRules) {
  const std::string kind = GetParam().kind;
  const Layout layout = ItsLayout();
  const auto message = Golden<v1::ClientMessage>(kind + "_contribution");
  const auto exchange = DecodeExchange(message.contribution().exchange(), layout, kChunk);
  ASSERT_THAT(exchange, IsOk());
  EXPECT_EQ(ExchangeName(*exchange), GetParam().name);
  EXPECT_EQ(message.contribution().half(), IsSecondHalf(*exchange) ? 1 : 0);
  const Buffer payload = BufferOf(message.payload());
  EXPECT_EQ(message.contribution().payload_digest(), Digest64(payload.bytes()));
  EXPECT_EQ(message.contribution().slice().total_bytes(), payload.size());
  EXPECT_THAT(ValidateContribution(*exchange, layout, kChunk, payload.bytes(), AnyBackend()),
              IsOk());
}

TEST_P(GoldenKindTest, ResultFollowsItsRules) {
  const std::string kind = GetParam().kind;
  const Layout layout = ItsLayout();
  const auto message = Golden<v1::ServerMessage>(kind + "_result");
  EXPECT_EQ(message.result().header(), GoldenBytes(kind + "_header"));
  const auto header = Golden<v1::ResultHeader>(kind + "_header");
  EXPECT_EQ(message.result().round(), header.round());
  EXPECT_EQ(message.result().half(), header.half());
  const auto exchange = DecodeExchange(header.exchange(), layout, kChunk);
  ASSERT_THAT(exchange, IsOk());
  EXPECT_EQ(ExchangeName(*exchange), GetParam().name);
  const Buffer payload = BufferOf(message.payload());
  EXPECT_EQ(header.payload_bytes(), payload.size());
  EXPECT_EQ(header.payload_digest(), Digest64(payload.bytes()));
  EXPECT_THAT(
      ValidateResult(*exchange, layout, kChunk, kParticipants, payload.bytes(), AnyBackend()),
      IsOk());
}

TEST_P(GoldenKindTest, ResultAnswersTheContribution) {
  const std::string kind = GetParam().kind;
  const auto contribution = Golden<v1::ClientMessage>(kind + "_contribution").contribution();
  const auto header = Golden<v1::ResultHeader>(kind + "_header");
  EXPECT_EQ(header.run(), contribution.run());
  EXPECT_EQ(header.round(), contribution.round());
  EXPECT_EQ(header.half(), contribution.half());
  EXPECT_EQ(header.prev_chain(), contribution.prev_chain());
  EXPECT_EQ(header.exchange().SerializeAsString(), contribution.exchange().SerializeAsString());
}

INSTANTIATE_TEST_SUITE_P(
    All, GoldenKindTest,
    testing::Values(GoldenKind{"sign_relay", "sign_relay(per tensor)"},
                    GoldenKind{"vote", "vote(drawn)"}, GoldenKind{"sparse", "sparse(at most 3)"},
                    GoldenKind{"sketch", "sketch(3x32 BFLOAT16, 3 candidates, seed 0x7)", true},
                    GoldenKind{"values", "values(3 FLOAT32, of 0x3411cb4c1151a9cb)", true}),
    [](const testing::TestParamInfo<GoldenKind>& kind) { return kind.param.kind; });

TEST(GoldenKindsTest, RoundOneFollowsRoundZero) {
  const uint64_t chain = ChainOf(GoldenBytes("header"));
  for (const char* name : {"sign_relay_header", "vote_header", "sparse_header"}) {
    EXPECT_EQ(Golden<v1::ResultHeader>(name).prev_chain(), chain) << name;
  }
}

TEST(GoldenKindsTest, TheRelayHoldsTheContribution) {
  const Buffer contribution = ContributionPayload("sign_relay");
  const Buffer result = ResultPayload("sign_relay");
  const std::vector<SignBlock> blocks = SignRelayBlocks(result.bytes(), kElements, 2);
  const SignBlock sent = SignBlockOf(contribution.bytes(), kElements, 2);
  ASSERT_EQ(blocks.size(), kParticipants);
  EXPECT_EQ(blocks[0].scales, sent.scales);
  EXPECT_EQ(blocks[0].bits, sent.bits);
  EXPECT_THAT(blocks[1].scales, ElementsAre(1, 0));
  EXPECT_THAT(blocks[1].bits, ElementsAre(0xff, 0x0f));
}

TEST(GoldenKindsTest, TheVoteIsDrawnFromTheVotes) {
  const Buffer mine = ContributionPayload("vote");
  const std::vector<uint8_t> other = {0xc3, 0x0d};
  const std::vector<absl::Span<const uint8_t>> ballots = {mine.bytes(), other};
  const uint64_t seed = Golden<v1::ResultHeader>("genesis_header").genesis().seed();
  const DrawStream draws = {.key = DrawKey(seed, DrawRole::kResult, ""),
                            .round = Golden<v1::ResultHeader>("vote_header").round()};
  for (const Backend* backend : HostBackends()) {
    std::vector<uint8_t> bits(2);
    ASSERT_THAT(backend->votes().DrawVotes(ballots, kElements, draws, absl::MakeSpan(bits)),
                IsOk());
    EXPECT_THAT(ResultPayload("vote").bytes(), ElementsAreArray(bits));
  }
}

TEST(GoldenKindsTest, TheSparseResultIsTheMean) {
  const Buffer mine = ContributionPayload("sparse");
  const auto sent = DecodeSparse(mine.bytes(), kElements, 3, true);
  ASSERT_THAT(sent, IsOk());
  EXPECT_THAT(sent->indices, ElementsAre(1, 4, 9));
  EXPECT_THAT(sent->values, ElementsAre(0.5f, -2, 3));
  // The other one sent 1 for element 4, and 4 for element 11.
  const Buffer result = ResultPayload("sparse");
  const auto mean = DecodeSparse(result.bytes(), kElements, 6, true);
  ASSERT_THAT(mean, IsOk());
  EXPECT_THAT(mean->indices, ElementsAre(1, 4, 9, 11));
  EXPECT_THAT(mean->values, ElementsAre(0.5f / 2, (-2.0f + 1) / 2, 3.0f / 2, 4.0f / 2));
}

TEST(GoldenKindsTest, TheLayoutDealsFiveBlocks) {
  const Layout layout = DealtLayout();
  ASSERT_EQ(layout.chunks().size(), 3u);
  EXPECT_EQ(layout.chunks()[0].num_elements, 128u);
  EXPECT_EQ(layout.chunks()[1].num_elements, 192u);
  const Dealing& dealing = *layout.dealing();
  EXPECT_THAT((std::vector<uint64_t>{dealing.BlockOf(0, 0), dealing.BlockOf(0, 1)}),
              ElementsAre(1, 3));
  EXPECT_THAT(
      (std::vector<uint64_t>{dealing.BlockOf(1, 0), dealing.BlockOf(1, 1), dealing.BlockOf(1, 2)}),
      ElementsAre(0, 2, 4));
}

TEST(GoldenKindsTest, TheSketchHashesAsTheDocumentShows) {
  const uint64_t key = SketchKey(7, kChunk);
  EXPECT_EQ(key, 0x63cbe1e459320dd7u);
  const struct {
    uint64_t row_key;
    uint32_t columns[3];
    bool negative[3];
  } kRows[] = {
      {0x93a5a6bc2810360a, {16, 27, 2}, {true, true, false}},
      {0x0fcaa408cd22da33, {29, 13, 29}, {false, false, false}},
      {0x92f5abbe51458c8f, {29, 13, 19}, {false, true, true}},
  };
  for (uint32_t row = 0; row < 3; ++row) {
    const uint64_t row_key = SketchRowKey(key, row);
    EXPECT_EQ(row_key, kRows[row].row_key);
    size_t k = 0;
    for (const uint32_t element : {5, 70, 100}) {
      const SketchRunHash hash = HashOfRun(row_key, element / 16, 32);
      EXPECT_EQ(hash.first_column + ((element % 16) ^ hash.lane_mask), kRows[row].columns[k]);
      EXPECT_EQ((hash.signs >> (element % 16)) & 1, kRows[row].negative[k]);
      ++k;
    }
  }
}

TEST(GoldenKindsTest, TheSketchIsThatOfThreeElements) {
  const Buffer contribution = ContributionPayload("sketch");
  const Buffer result = ResultPayload("sketch");
  std::vector<float> x(128);
  x[5] = 3;
  x[70] = -2;
  x[100] = 0.5f;
  const SketchShape shape = {.rows = 3, .columns = 32, .key = SketchKey(7, kChunk)};
  for (const Backend* backend : HostBackends()) {
    std::vector<float> table(96);
    ASSERT_THAT(backend->sketches().Sketch(shape, x, absl::MakeSpan(table)), IsOk());
    Buffer encoded(2 * 96);
    ASSERT_THAT(backend->EncodeDense(DType::kBFloat16, table, encoded.bytes()), IsOk());
    EXPECT_EQ(contribution.bytes(), encoded.bytes());

    std::vector<float> estimates(x.size());
    ASSERT_THAT(backend->sketches().Estimate(shape, table, absl::MakeSpan(estimates)), IsOk());
    EXPECT_EQ(estimates, x);
    std::vector<uint32_t> chosen(3);
    ASSERT_THAT(backend->sketches().SelectLargest(estimates, {}, absl::MakeSpan(chosen)), IsOk());
    EXPECT_THAT(chosen, ElementsAre(5, 70, 100));
    EXPECT_EQ(result.bytes(), EncodeSparse(chosen, {}, 128).bytes());
  }
}

TEST(GoldenKindsTest, TheSecondHalfNamesTheFirst) {
  const auto first = Golden<v1::ResultHeader>("sketch_header");
  const auto second = Golden<v1::ResultHeader>("values_header");
  EXPECT_EQ(PlaceAfter(first), PlaceOf(second));
  EXPECT_EQ(PlaceAfter(second), (Place{4, 0}));
  EXPECT_EQ(second.prev_chain(), ChainOf(GoldenBytes("sketch_header")));
  const Buffer candidates = ResultPayload("sketch");
  EXPECT_EQ(second.exchange().values().candidates_digest(), Digest64(candidates.bytes()));
  EXPECT_EQ(second.exchange().values().num_values(), SparseCountOf(candidates.bytes()));
}

TEST(GoldenKindsTest, TheValuesAreAveragedInTheOrderOfTheElements) {
  EXPECT_THAT(Floats(ContributionPayload("values")), ElementsAre(3, -2, 0.5f));
  // The other one sent 1, 0 and 0.5.
  EXPECT_THAT(Floats(ResultPayload("values")),
              ElementsAre((3.0f + 1) / 2, (-2.0f + 0) / 2, (0.5f + 0.5f) / 2));
}

}  // namespace
}  // namespace tally
