// The golden messages of one round hang together: each is read as its receiver reads it.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/layout_codec.h"
#include "codecs/roster.h"
#include "codecs/sign_codec.h"
#include "codecs/slices.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/backend.h"
#include "kernels/host_backends.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "tests/golden/golden_file.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;

constexpr size_t kChunk = 0;

template <typename Message>
Message Golden(absl::string_view name) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(GoldenBytes(name))) << name;
  return message;
}

Layout GoldenLayout() {
  absl::StatusOr<Layout> layout = DecodeLayout(Golden<v1::ClientMessage>("hello").hello().layout());
  EXPECT_THAT(layout, IsOk());
  return *std::move(layout);
}

TEST(GoldenRoundTest, TheHelloCarriesALayout) {
  const Layout layout = GoldenLayout();
  EXPECT_EQ(layout.num_compressed(), 12u);
  EXPECT_EQ(layout.num_elements(), 14u);
  // Element 2 of "weight", which begins at 4.
  EXPECT_THAT(layout.live(kChunk), ElementsAre(0b1011'1111, 0b0000'1111));
}

TEST(GoldenRoundTest, TheContributionDecodesToItsValues) {
  const auto message = Golden<v1::ClientMessage>("contribution");
  const Layout layout = GoldenLayout();
  EXPECT_EQ(message.contribution().payload_digest(), Digest64(BytesOf(message.payload())));

  SliceAssembler assembler;
  ASSERT_THAT(assembler.Begin(message.contribution().slice(), BytesOf(message.payload()),
                              MaxContributionBytes(layout, kChunk)),
              IsOk());
  ASSERT_TRUE(assembler.complete());
  const Buffer payload = assembler.Take();

  const auto exchange = DecodeExchange(message.contribution().exchange(), layout, kChunk);
  ASSERT_THAT(exchange, IsOk());
  EXPECT_EQ(ExchangeName(*exchange), "sign(RMS, per tensor)");
  const Backend& backend = *HostBackends().front();
  ASSERT_THAT(ValidateContribution(*exchange, layout, kChunk, payload.bytes(), backend), IsOk());

  const std::vector<uint32_t> ends =
      layout.SegmentEnds(kChunk, {.unit = ScaleGranularity::Unit::kTensor});
  std::vector<float> values(12);
  ASSERT_THAT(backend.SumSigns({SignBlockOf(payload.bytes(), values.size(), ends.size())}, ends,
                               layout.live(kChunk), absl::MakeSpan(values)),
              IsOk());
  EXPECT_THAT(values, ElementsAre(0.5f, 0.5f, -0.5f, 0.5f, -3, -3, 0, 3, 3, -3, 3, -3));
}

TEST(GoldenRoundTest, TheResultFollowsTheGenesis) {
  const std::string genesis = Golden<v1::ServerMessage>("genesis_result").result().header();
  const auto result = Golden<v1::ServerMessage>("result");
  EXPECT_EQ(genesis, GoldenBytes("genesis_header"));
  EXPECT_EQ(result.result().header(), GoldenBytes("header"));

  const auto header = Golden<v1::ResultHeader>("header");
  EXPECT_EQ(header.prev_chain(), ChainOf(genesis));
  EXPECT_EQ(header.payload_bytes(), result.payload().size());
  EXPECT_EQ(header.payload_digest(), Digest64(BytesOf(result.payload())));

  const auto first = Roster().After(Golden<v1::ResultHeader>("genesis_header"));
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(first->Participants(header.participants()),
              IsOkAndHolds(ElementsAre(MemberId{"w-1", 1000}, MemberId{"w-2", 1001})));
  const auto second = first->After(header);
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(second->epoch(), 2u);
  EXPECT_THAT(second->members(), ElementsAre(MemberId{"w-1", 1000}, MemberId{"w-5", 1200}));
  EXPECT_THAT(second->Participants(Golden<v1::ResultHeader>("unchanged_header").participants()),
              IsOkAndHolds(testing::IsEmpty()));
}

}  // namespace
}  // namespace tally
