// Results of a hostile or broken aggregator, kind by kind: what agrees with itself in every other
// way is refused for its payload, before anybody sees it.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/buffer.h"
#include "base/digest.h"
#include "client/client_options.h"
#include "codecs/checked_result.h"
#include "codecs/dealing.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/sample_exchanges.h"
#include "codecs/sparse_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "proto/tally/v1/exchange.pb.h"
#include "tests/util/status_matchers.h"
#include "tests/util/worker_run.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct BadResult {
  std::string name;
  Exchange exchange;
  Buffer payload;
  std::string words;
};

Buffer BytesOf(const std::vector<uint8_t>& bytes) {
  Buffer payload(bytes.size());
  std::copy(bytes.begin(), bytes.end(), payload.bytes().begin());
  return payload;
}

Buffer FloatsOf(const std::vector<float>& values) {
  Buffer payload(values.size() * sizeof(float));
  std::memcpy(payload.data(), values.data(), payload.size());
  return payload;
}

// In the last byte.
Buffer WithOnes(Buffer payload, uint8_t ones) {
  payload.bytes().back() |= ones;
  return payload;
}

// By a zero.
Buffer Lengthened(const Buffer& payload) {
  std::vector<uint8_t> bytes(payload.bytes().begin(), payload.bytes().end());
  bytes.push_back(0);
  return BytesOf(bytes);
}

Buffer Zeros(size_t size) { return BytesOf(std::vector<uint8_t>(size)); }

// Checks the result of a chunk in which both workers took part.
absl::Status Check(const Layout& layout, uint32_t chunk, const Exchange& exchange,
                   const Buffer& payload) {
  ClientOptions options = OptionsOf(1, 1);
  options.layout = layout;
  ResultMaker maker(*options.layout, RunOf(options));
  maker.Checked(maker.GenesisOf(chunk));
  v1::ResultHeader header = maker.NextOf(chunk, exchange);
  header.set_half(IsSecondHalf(exchange) ? 1 : 0);
  header.set_payload_bytes(payload.size());
  header.set_payload_digest(payload.size() == 0 ? 0 : Digest64(payload.bytes()));
  v1::Result result;
  result.set_chunk(header.chunk());
  result.set_round(header.round());
  result.set_half(header.half());
  result.set_header(header.SerializeAsString());
  Buffer copy(payload.size());
  std::copy(payload.bytes().begin(), payload.bytes().end(), copy.bytes().begin());
  return CheckResult(result, std::make_shared<const Buffer>(std::move(copy)), layout,
                     *FastestHostBackend())
      .status();
}

void ExpectRefusals(const Layout& layout, uint32_t chunk, const std::vector<BadResult>& rows) {
  for (const BadResult& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_THAT(Check(layout, chunk, row.exchange, row.payload),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr(absl::StrCat("chunk ", chunk, ", round 0: ")),
                               HasSubstr(row.words))));
  }
}

// Chunk 1 has 88 elements: bitmaps of 11 bytes. None is masked.
TEST(HostileResultsTest, OfContiguousChunksAreRefused) {
  const Layout layout = ContiguousLayout();
  const auto end = Layout::Create({{"a", 12}}, 256);
  ASSERT_THAT(end, IsOk());
  const Exchange drawn = {VoteExchange{VoteResult::kDrawn}};
  const Exchange majority = {VoteExchange{VoteResult::kMajority}};
  const Exchange counts = {VoteExchange{VoteResult::kCounts}};
  const Exchange relay = {SignRelayExchange{{ScaleGranularity::Unit::kTensor}}};
  const Exchange sparse = {SparseExchange{2}};

  std::vector<BadResult> rows;
  const auto add = [&rows](std::string name, const Exchange& exchange, Buffer payload,
                           std::string words) {
    rows.push_back({std::move(name), exchange, std::move(payload), std::move(words)});
  };
  add("too few votes", drawn, Zeros(10), "`payload` has 10 bytes, must have 11");
  add("too many votes", majority, Zeros(12), "`payload` has 12 bytes, must have 11");
  add("a plane too few", counts, Zeros(11), "`payload` has 11 bytes, must have 22");
  add("a count above n", counts, BytesOf(std::vector<uint8_t>(22, 0xff)),
      "`payload.counts[0]` = 3, must be at most 2, the participants");
  add("a block too few", relay, Zeros(16), "`payload` has 16 bytes");
  Buffer scale = Zeros(32);
  std::memcpy(scale.data() + 16, &kNan, sizeof(kNan));
  add("a scale that is none", relay, std::move(scale),
      "`payload.blocks[1]`: `payload.scales[0]` = nan");
  add("padding that is not zero", relay, WithOnes(Zeros(32), 1),
      "`payload.blocks[1].padding[0]` = 1, must be 0");
  add("more elements than were sent", sparse,
      EncodeSparse({1, 2, 3, 4, 5}, std::vector<float>(5, 1.0f), 88),
      "`payload.count` = 5, must be at most 4");
  add("an element beyond the chunk", sparse, EncodeSparse({1, 88}, {{1.0f, 1.0f}}, 90),
      "`payload.indices[1]` = 88, must be less than 88");
  add("a value that is none", sparse, EncodeSparse({1, 7}, {{1.0f, kNan}}, 88),
      "`payload.values[1]` = nan, must be finite");
  add("elements without values", sparse, EncodeSparse({1, 7}, {}, 88), "`payload` has ");
  add("no count", sparse, Zeros(0), "`payload` has 0 bytes, must begin with a count");
  ExpectRefusals(layout, 1, rows);

  rows.clear();
  add("a vote beyond the chunk", drawn, WithOnes(Zeros(2), 0x10), "`payload[1]` = 0x10");
  add("a count beyond the chunk", counts, WithOnes(Zeros(4), 0x10), "`payload[3]` = 0x10");
  ExpectRefusals(*end, 0, rows);

  rows.clear();
  add("a masked element", sparse, EncodeSparse({2, 3}, {{1.0f, 1.0f}}, 512),
      "`payload.indices[1]` = 3, must not be masked");
  ExpectRefusals(layout, 0, rows);
}

TEST(HostileResultsTest, OfGroupsAreRefused) {
  const auto layout = Layout::Create({{"a", 512}}, 512, DealingOptions());
  ASSERT_THAT(layout, IsOk());
  const auto sketch = [](bool with_estimates) {
    return Exchange{SketchExchange{
        .rows = 3, .columns = 32, .num_candidates = 2, .with_estimates = with_estimates}};
  };
  const Exchange values = {ValuesExchange{.num_values = 2}};
  std::vector<BadResult> rows;
  const auto add = [&rows](std::string name, const Exchange& exchange, Buffer payload,
                           std::string words) {
    rows.push_back({std::move(name), exchange, std::move(payload), std::move(words)});
  };
  add("a candidate too few", sketch(false), EncodeSparse({7}, {}, 512),
      "`payload.count` = 1, must be 2");
  add("a candidate too many", sketch(false), EncodeSparse({7, 8, 9}, {}, 512),
      "`payload.count` = 3, must be at most 2");
  add("no candidates", sketch(false), EncodeSparse({}, {}, 512), "`payload.count` = 0, must be 2");
  add("a candidate beyond the group", sketch(false), EncodeSparse({7, 512}, {}, 514),
      "`payload.indices[1]` = 512, must be less than 512");
  // Gaps are never negative. What stands for two candidates that are equal, or not sorted, is cut.
  add("candidates that are cut", sketch(false), BytesOf({2, 0, 0, 0, 0x80}),
      "`payload.indices` has 1 bytes and ends within indices[0]");
  add("candidates and more", sketch(false), Lengthened(EncodeSparse({7, 8}, {}, 512)),
      "bytes, must have ");
  add("estimates that nobody wanted", sketch(false), EncodeSparse({7, 8}, {{1.0f, 2.0f}}, 512),
      "`payload.indices");
  add("no estimates", sketch(true), EncodeSparse({7, 8}, {}, 512), "`payload` has ");
  add("an estimate that is none", sketch(true), EncodeSparse({7, 8}, {{1.0f, kNan}}, 512),
      "`payload.values[1]` = nan, must be finite");
  add("a value too few", values, FloatsOf({1}), "`payload` has 4 bytes, must have 8");
  add("a value too many", values, FloatsOf({1, 2, 3}), "`payload` has 12 bytes, must have 8");
  add("a value that is none", values, FloatsOf({1, kNan}), "`payload[1]` = nan, must be finite");
  ExpectRefusals(*layout, 0, rows);
}

TEST(HostileResultsTest, TheSamePlacesTakeGoodOnes) {
  const Layout layout = ContiguousLayout();
  EXPECT_THAT(Check(layout, 1, {VoteExchange{VoteResult::kCounts}}, Zeros(22)), IsOk());
  EXPECT_THAT(Check(layout, 1, {SignRelayExchange{{ScaleGranularity::Unit::kTensor}}}, Zeros(32)),
              IsOk());
  EXPECT_THAT(Check(layout, 1, {SparseExchange{2}}, EncodeSparse({1, 7}, {{1.0f, 2.0f}}, 88)),
              IsOk());
  const auto dealt = Layout::Create({{"a", 512}}, 512, DealingOptions());
  ASSERT_THAT(dealt, IsOk());
  EXPECT_THAT(Check(*dealt, 0, {ValuesExchange{.num_values = 2}}, FloatsOf({1, 2})), IsOk());
  EXPECT_THAT(Check(*dealt, 0, {SketchExchange{.rows = 3, .columns = 32, .num_candidates = 2}},
                    EncodeSparse({7, 8}, {}, 512)),
              IsOk());
}

// A half that the exchange has not.
TEST(HostileResultsTest, OfTheWrongHalfAreRefused) {
  ClientOptions options = OptionsOf(1, 1);
  options.layout = *Layout::Create({{"a", 512}}, 512, DealingOptions());
  for (const Exchange& exchange :
       {Exchange{SketchExchange{.rows = 3, .columns = 32, .num_candidates = 2}},
        Exchange{ValuesExchange{.num_values = 2}}}) {
    ResultMaker maker(*options.layout, RunOf(options));
    maker.Checked(maker.GenesisOf(0));
    v1::ResultHeader header = maker.NextOf(0, exchange);
    const uint32_t wrong = IsSecondHalf(exchange) ? 0 : 1;
    header.set_half(wrong);
    v1::Result result;
    result.set_half(wrong);
    result.set_header(header.SerializeAsString());
    EXPECT_THAT(
        CheckResult(result, ZeroPayload(exchange, *options.layout, 0), *options.layout,
                    *FastestHostBackend()),
        StatusIs(absl::StatusCode::kDataLoss,
                 HasSubstr(absl::StrCat("`header.half` = ", wrong, ", must be ", 1 - wrong))));
  }
}

}  // namespace
}  // namespace tally
