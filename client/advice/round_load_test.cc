#include "client/advice/round_load.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "codecs/limits.h"
#include "codecs/message_frame.h"
#include "codecs/sparse_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {
namespace {

// gRPC's prefix of a message and HTTP/2's of a frame.
constexpr double kTransportHeadBytes = 5 + 9;

Layout LayoutOf(uint64_t num_elements) { return *Layout::Create({{"weights", num_elements}}); }

std::vector<uint32_t> Draw(uint32_t num_elements, double share, std::mt19937& random) {
  std::bernoulli_distribution chosen(share);
  std::vector<uint32_t> indices;
  for (uint32_t i = 0; i < num_elements; ++i) {
    if (chosen(random)) indices.push_back(i);
  }
  return indices;
}

TEST(ExpectedBytesTest, AreThoseOfRandomSets) {
  constexpr uint32_t kElements = 200'000;
  const Layout layout = LayoutOf(kElements);
  std::mt19937 random(1);
  for (const double share : {0.001, 0.01, 0.1, 0.5}) {
    SCOPED_TRACE(share);
    const std::vector<uint32_t> indices = Draw(kElements, share, random);
    const std::vector<float> values(indices.size(), 1.0f);
    const auto count = static_cast<uint32_t>(indices.size());
    const auto real = static_cast<double>(EncodeSparse(indices, values, kElements).size());
    EXPECT_NEAR(ExpectedContributionBytes({SparseExchange{count}}, layout, 0), real, 0.005 * real);
    const auto bare = static_cast<double>(EncodeSparse(indices, {}, kElements).size());
    const Exchange sketch = {SketchExchange{.columns = 1024, .num_candidates = count}};
    EXPECT_NEAR(ExpectedResultBytes(sketch, layout, 0, 4), bare, 0.01 * bare);
  }
}

TEST(ExpectedBytesTest, OfAResultAreThoseOfTheUnion) {
  constexpr uint32_t kElements = 200'000;
  const Layout layout = LayoutOf(kElements);
  std::mt19937 random(2);
  std::vector<uint32_t> all;
  for (int worker = 0; worker < 8; ++worker) {
    const std::vector<uint32_t> own = Draw(kElements, 0.05, random);
    all.insert(all.end(), own.begin(), own.end());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  const std::vector<float> values(all.size(), 1.0f);
  const auto real = static_cast<double>(EncodeSparse(all, values, kElements).size());
  EXPECT_NEAR(ExpectedResultBytes({SparseExchange{10'000}}, layout, 0, 8), real, 0.02 * real);
}

TEST(ExpectedBytesTest, NeverExceedTheCodecs) {
  const Layout layout = LayoutOf(10'000);
  for (const uint32_t count : {1u, 9u, 100u, 5000u, 10'000u}) {
    SCOPED_TRACE(count);
    const Exchange exchange = {SparseExchange{count}};
    EXPECT_LE(ExpectedContributionBytes(exchange, layout, 0),
              ContributionSize(exchange, layout, 0).max_bytes);
    EXPECT_LE(ExpectedResultBytes(exchange, layout, 0, 7),
              ResultSize(exchange, layout, 0, 7).max_bytes);
  }
}

// Messages as a session and an aggregator write them.
TEST(HeadBytesTest, AreNearThoseOfRealMessages) {
  v1::ClientMessage client;
  v1::Contribution& contribution = *client.mutable_contribution();
  contribution.set_chunk(100);
  contribution.set_round(10'000);
  contribution.mutable_slice()->set_total_bytes(131'072);
  contribution.set_run(uint64_t{1} << 60);
  contribution.mutable_member()->set_worker("worker-12");
  contribution.mutable_member()->set_incarnation(uint64_t{1} << 50);
  contribution.set_prev_chain(1);
  const Exchange sign = {SignExchange{}};
  *contribution.mutable_exchange() = EncodeExchange(sign);
  contribution.set_payload_digest(1);
  EXPECT_NEAR(static_cast<double>(FrameHead(client, 131'072).size()) + kTransportHeadBytes,
              kContributionHeadBytes, 0.2 * kContributionHeadBytes);

  v1::ResultHeader header;
  header.set_run(uint64_t{1} << 60);
  header.set_chunk(100);
  header.set_round(10'000);
  header.set_prev_chain(1);
  header.set_epoch(3);
  *header.mutable_exchange() = EncodeExchange(sign);
  header.set_participants(std::string(2, 'x'));
  header.set_payload_bytes(131'072);
  header.set_payload_digest(1);
  v1::ServerMessage server;
  v1::Result& result = *server.mutable_result();
  result.set_chunk(100);
  result.set_round(10'000);
  result.mutable_slice()->set_total_bytes(131'072);
  result.set_header(header.SerializeAsString());
  result.mutable_advice()->set_wait_us(10'000);
  result.mutable_advice()->set_compute_us(500);
  EXPECT_NEAR(static_cast<double>(FrameHead(server, 131'072).size()) + kTransportHeadBytes,
              kResultHeadBytes + 2, 0.2 * kResultHeadBytes);

  v1::ClientMessage further;
  further.mutable_contribution()->set_chunk(100);
  further.mutable_contribution()->set_round(10'000);
  further.mutable_contribution()->mutable_slice()->set_offset_bytes(kSliceBytes);
  further.mutable_contribution()->mutable_slice()->set_total_bytes(4 * kSliceBytes);
  EXPECT_NEAR(static_cast<double>(FrameHead(further, kSliceBytes).size()) + kTransportHeadBytes,
              kSliceHeadBytes, 0.2 * kSliceHeadBytes);
}

TEST(LoadOfRoundTest, PlacesChunksRoundRobin) {
  // The half chunk joins the first one.
  const Layout layout = LayoutOf(uint64_t{2} * kDefaultChunkElements + kDefaultChunkElements / 2);
  const RoundLoad load = LoadOfRound(
      layout, 4, 2, [](uint32_t) { return std::vector<Exchange>{Exchange{DenseExchange{}}}; });
  EXPECT_EQ(load.chunks, 3u);
  EXPECT_EQ(load.busiest_chunks, 2u);
  EXPECT_NEAR(load.busiest_up_bytes / (4 * load.up_bytes), 1.5 / 2.5, 1e-4);
  EXPECT_NEAR(load.busiest_down_bytes / (4 * load.down_bytes), 1.5 / 2.5, 1e-4);
}

TEST(LoadOfRoundTest, LeavesAggregatorsWithoutChunksIdle) {
  const RoundLoad load = LoadOfRound(LayoutOf(100), 4, 3, [](uint32_t) {
    return std::vector<Exchange>{Exchange{DenseExchange{}}};
  });
  EXPECT_EQ(load.busiest_chunks, 1u);
  EXPECT_DOUBLE_EQ(load.busiest_up_bytes, 4 * load.up_bytes);
}

TEST(LoadOfRoundTest, CountsTheHalves) {
  const Layout layout =
      *Layout::Create({{"weights", 4096}}, kDefaultChunkElements, DealingOptions{.num_groups = 1});
  const RoundLoad load = LoadOfRound(layout, 2, 1, [](uint32_t) {
    return std::vector<Exchange>{Exchange{SketchExchange{.columns = 128, .num_candidates = 10}},
                                 Exchange{ValuesExchange{.num_values = 10}}};
  });
  EXPECT_EQ(load.halves, 2u);
  EXPECT_DOUBLE_EQ(load.up_bytes, 5 * 128 * 4 + 10 * 4 + 2 * kContributionHeadBytes);
}

}  // namespace
}  // namespace tally
