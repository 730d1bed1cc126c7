// The arithmetic of the kinds of exchange beside dense and sign, on cases that a person can check.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "aggregator/exchange_task.h"
#include "codecs/draw_key.h"
#include "codecs/sign_codec.h"
#include "codecs/sign_relay_codec.h"
#include "codecs/sparse_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;

constexpr uint64_t kSeed = 21;

Buffer BytesOf(const std::vector<uint8_t>& bytes) {
  Buffer buffer(bytes.size());
  std::copy(bytes.begin(), bytes.end(), buffer.bytes().begin());
  return buffer;
}

// A vector of buffers that can only be moved.
template <typename... Bytes>
std::vector<Buffer> PayloadsOf(Bytes... bytes) {
  std::vector<Buffer> payloads;
  (payloads.push_back(BytesOf(bytes)), ...);
  return payloads;
}

using Bytes = std::vector<uint8_t>;

class ExchangeKindsTest : public testing::TestWithParam<const Backend*> {
 protected:
  // Runs the exchange of the only chunk of `num_elements`.
  Buffer Run(const Exchange& exchange, uint32_t num_elements, std::vector<Buffer> payloads,
             uint64_t round = 4) {
    ExchangeTask task;
    task.description = std::make_shared<const JobDescription>(
        JobDescription{.seed = kSeed, .layout = *Layout::Create({{"weights", num_elements}}, 256)});
    task.place.round = round;
    task.exchange = exchange;
    task.divisor = static_cast<uint32_t>(payloads.size());
    for (Buffer& payload : payloads) {
      task.payloads.push_back(std::make_shared<const Buffer>(std::move(payload)));
    }
    absl::StatusOr<ExchangeOutcome> outcome = RunExchange(task, *GetParam());
    EXPECT_THAT(outcome, IsOk());
    EXPECT_THAT(ValidateResult(exchange, task.description->layout, 0, task.divisor,
                               outcome->payload->bytes(), *GetParam()),
                IsOk());
    return BytesOf({outcome->payload->bytes().begin(), outcome->payload->bytes().end()});
  }
};

std::vector<uint8_t> BytesIn(const Buffer& buffer) {
  return {buffer.bytes().begin(), buffer.bytes().end()};
}

TEST_P(ExchangeKindsTest, VotesAreCounted) {
  // Elements 0 to 9: counts 3 2 1 0 0 0 0 0 and 1 0.
  const Buffer counts = Run({VoteExchange{VoteResult::kCounts}}, 10,
                            PayloadsOf(Bytes{0x07, 0x01}, Bytes{0x03, 0x00}, Bytes{0x01, 0x00}));
  EXPECT_THAT(BytesIn(counts), ElementsAre(0x05, 0x01, 0x03, 0x00));
}

TEST_P(ExchangeKindsTest, TheMajorityDecides) {
  const Buffer bits = Run({VoteExchange{VoteResult::kMajority}}, 10,
                          PayloadsOf(Bytes{0x07, 0x01}, Bytes{0x03, 0x00}, Bytes{0x01, 0x00}));
  EXPECT_THAT(BytesIn(bits), ElementsAre(0x03, 0x00));
}

TEST_P(ExchangeKindsTest, UnanimousVotesDrawThemselves) {
  const Buffer bits =
      Run({VoteExchange{VoteResult::kDrawn}}, 10, PayloadsOf(Bytes{0xa5, 0x02}, Bytes{0xa5, 0x02}));
  EXPECT_THAT(BytesIn(bits), ElementsAre(0xa5, 0x02));
}

TEST_P(ExchangeKindsTest, TiedVotesFollowTheDrawsOfRunAndRound) {
  for (const uint64_t round : {4, 5}) {
    std::vector<Buffer> payloads;
    payloads.push_back(BytesOf(std::vector<uint8_t>(8, 0xff)));
    payloads.push_back(BytesOf(std::vector<uint8_t>(8, 0x00)));
    const Buffer bits = Run({VoteExchange{VoteResult::kDrawn}}, 64, std::move(payloads), round);
    const DrawStream draws = {.key = DrawKey(kSeed, DrawRole::kResult, ""), .round = round};
    for (size_t i = 0; i < 64; ++i) {
      // One of two votes: a word below 2^31 draws 0, which is less than the count of 1.
      const uint32_t expected = draws.WordAt(i) < 0x80000000u ? 1 : 0;
      EXPECT_EQ((bits.data()[i / 8] >> (i % 8)) & 1u, expected) << "element " << i;
    }
  }
}

TEST_P(ExchangeKindsTest, SparseElementsAreAveragedOverAll) {
  std::vector<Buffer> payloads;
  payloads.push_back(EncodeSparse({1, 5}, {2.0f, 4.0f}, 10));
  payloads.push_back(EncodeSparse({5, 9}, {8.0f, -6.0f}, 10));
  const Buffer result = Run({SparseExchange{2}}, 10, std::move(payloads));
  const auto block = DecodeSparse(result.bytes(), 10, 4, true);
  ASSERT_THAT(block, IsOk());
  EXPECT_THAT(block->indices, ElementsAre(1, 5, 9));
  EXPECT_THAT(block->values, ElementsAre(1.0f, 6.0f, -3.0f));
}

TEST_P(ExchangeKindsTest, SignsAreRelayedAsTheyCame) {
  const auto payload_of = [](float scale, uint8_t first, uint8_t second) {
    Buffer payload(SignPayloadBytes(10, 1));
    const SignPayloadParts parts = SignPartsOf(payload.bytes(), 10, 1);
    parts.scales[0] = scale;
    parts.bits[0] = first;
    parts.bits[1] = second;
    return payload;
  };
  std::vector<Buffer> payloads;
  payloads.push_back(payload_of(0.5f, 0x12, 0x03));
  payloads.push_back(payload_of(2.0f, 0xff, 0x00));
  const Exchange relay = {SignRelayExchange{{.unit = ScaleGranularity::Unit::kModel}}};
  const Buffer result = Run(relay, 10, std::move(payloads));
  const std::vector<SignBlock> blocks = SignRelayBlocks(result.bytes(), 10, 1);
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_THAT(blocks[0].scales, ElementsAre(0.5f));
  EXPECT_THAT(blocks[0].bits, ElementsAre(0x12, 0x03));
  EXPECT_THAT(blocks[1].scales, ElementsAre(2.0f));
  EXPECT_THAT(blocks[1].bits, ElementsAre(0xff, 0x00));
}

INSTANTIATE_TEST_SUITE_P(EveryBackend, ExchangeKindsTest, testing::ValuesIn(HostBackends()),
                         [](const auto& instance) { return std::string(instance.param->name()); });

}  // namespace
}  // namespace tally
