// Sizes and rules of payloads; exchange_test.cc tests the messages.
#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/buffer.h"
#include "codecs/exchange.h"
#include "codecs/limits.h"
#include "codecs/sample_exchanges.h"
#include "codecs/sparse_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"
#include "kernels/host_backends.h"
#include "kernels/live_mask.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

constexpr size_t kDenseChunk = 2;  // of both layouts
constexpr uint32_t kParticipants = 3;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

const Backend& AnyBackend() { return *HostBackends().front(); }

Exchange Sketch(bool with_estimates, uint32_t num_candidates = 20) {
  return {SketchExchange{.rows = 3,
                         .columns = 32,
                         .num_candidates = num_candidates,
                         .with_estimates = with_estimates}};
}

uint32_t NumLive(const Layout& layout, size_t chunk) {
  return static_cast<uint32_t>(
      CountLive(layout.live(chunk), 0, layout.chunks()[chunk].num_elements));
}

// The first `count` elements of the chunk that are not masked.
std::vector<uint32_t> FirstLive(const Layout& layout, size_t chunk, size_t count) {
  const absl::Span<const uint8_t> live = layout.live(chunk);
  std::vector<uint32_t> indices;
  for (uint32_t i = 0; indices.size() < count; ++i) {
    if (live.empty() || ((live[i / 8] >> (i % 8)) & 1) != 0) indices.push_back(i);
  }
  return indices;
}

Buffer Sparse(const std::vector<uint32_t>& indices, const Layout& layout, size_t chunk,
              bool with_values) {
  const std::vector<float> values(with_values ? indices.size() : 0, 0.5f);
  return EncodeSparse(indices, values, layout.chunks()[chunk].num_elements);
}

Buffer Zeros(uint64_t size) {
  Buffer payload(size);
  std::fill(payload.bytes().begin(), payload.bytes().end(), uint8_t{0});
  return payload;
}

Buffer ValidContribution(const Exchange& exchange, const Layout& layout, size_t chunk) {
  if (const auto* sparse = absl::get_if<SparseExchange>(&exchange.kind)) {
    const uint32_t count = std::min(sparse->max_values, NumLive(layout, chunk));
    return Sparse(FirstLive(layout, chunk, count), layout, chunk, true);
  }
  return Zeros(ContributionSize(exchange, layout, chunk).max_bytes);
}

Buffer ValidResult(const Exchange& exchange, const Layout& layout, size_t chunk) {
  const uint32_t num_live = NumLive(layout, chunk);
  if (const auto* sparse = absl::get_if<SparseExchange>(&exchange.kind)) {
    const uint32_t count = std::min(sparse->max_values * kParticipants, num_live);
    return Sparse(FirstLive(layout, chunk, count), layout, chunk, true);
  }
  if (const auto* sketch = absl::get_if<SketchExchange>(&exchange.kind)) {
    const uint32_t count = std::min(sketch->num_candidates, num_live);
    return Sparse(FirstLive(layout, chunk, count), layout, chunk, sketch->with_estimates);
  }
  return Zeros(ResultSize(exchange, layout, chunk, kParticipants).max_bytes);
}

absl::Status Contribute(const Exchange& exchange, const Layout& layout, size_t chunk,
                        absl::Span<const uint8_t> payload) {
  return ValidateContribution(exchange, layout, chunk, payload, AnyBackend());
}

absl::Status Receive(const Exchange& exchange, const Layout& layout, size_t chunk,
                     absl::Span<const uint8_t> payload) {
  return ValidateResult(exchange, layout, chunk, kParticipants, payload, AnyBackend());
}

testing::Matcher<absl::Status> Refused(const std::string& message) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message));
}

TEST(ExchangePayloadTest, SizesOfContributionsFollowTheCodecs) {
  const Layout layout = ContiguousLayout();
  const Layout dealt = DealtLayout();
  const ScaleGranularity per_block = {ScaleGranularity::Unit::kBlock, 256};
  const ScaleGranularity per_tensor = {ScaleGranularity::Unit::kTensor};
  const ScaleGranularity whole_model = {ScaleGranularity::Unit::kModel};
  const struct {
    Exchange exchange;
    const Layout& layout;
    size_t chunk;
    uint64_t max_bytes;
    bool fixed = true;
  } kCases[] = {
      {{DenseExchange{DType::kFloat32}}, layout, 1, 4 * 88},
      {{DenseExchange{DType::kFloat16}}, layout, kDenseChunk, 2 * 10},
      {{SignExchange{.granularity = per_block}}, layout, 0, 2 * 4 + 64},
      {{SignExchange{.granularity = per_tensor}}, layout, 0, 2 * 4 + 64},
      {{SignExchange{.granularity = whole_model}}, layout, 0, 4 + 64},
      {{SignExchange{.granularity = per_tensor}}, layout, 1, 4 + 11},
      {{SignRelayExchange{per_tensor}}, layout, 0, 2 * 4 + 64},
      {{SignRelayExchange{per_tensor}}, layout, 1, 4 + 11},
      {{VoteExchange{VoteResult::kCounts}}, layout, 1, 11},
      {{SparseExchange{10}}, layout, 0, MaxSparsePayloadBytes(512, 10, true), false},
      {{SketchExchange{.rows = 3, .columns = 32, .dtype = DType::kBFloat16}}, dealt, 0, 3 * 32 * 2},
      {{ValuesExchange{7, 0, DType::kFloat32}}, dealt, 1, 7 * 4},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(absl::StrCat(ExchangeName(test_case.exchange), ", chunk ", test_case.chunk));
    const PayloadSize size =
        ContributionSize(test_case.exchange, test_case.layout, test_case.chunk);
    EXPECT_EQ(size.max_bytes, test_case.max_bytes);
    EXPECT_EQ(size.fixed, test_case.fixed);
  }
}

TEST(ExchangePayloadTest, SizesOfResultsFollowTheCodecs) {
  const Layout layout = ContiguousLayout();
  const Layout dealt = DealtLayout();
  const uint32_t group_elements = dealt.chunks()[0].num_elements;
  const ScaleGranularity per_tensor = {ScaleGranularity::Unit::kTensor};
  const struct {
    Exchange exchange;
    const Layout& layout;
    size_t chunk;
    uint32_t num_participants;
    uint64_t max_bytes;
    bool fixed = true;
  } kCases[] = {
      {{DenseExchange{DType::kFloat16}}, layout, kDenseChunk, 5, 2 * 10},
      {{SignExchange{.granularity = per_tensor}}, layout, 1, 5, 4 + 11},
      {{SignRelayExchange{per_tensor}}, layout, 1, 5, 5 * 16},
      {{VoteExchange{VoteResult::kDrawn}}, layout, 1, 5, 11},
      {{VoteExchange{VoteResult::kMajority}}, layout, 1, 5, 11},
      {{VoteExchange{VoteResult::kCounts}}, layout, 1, 5, 3 * 11},
      {{VoteExchange{VoteResult::kCounts}}, layout, 1, 8, 4 * 11},
      {{SparseExchange{10}}, layout, 0, 5, MaxSparsePayloadBytes(512, 50, true), false},
      {{SparseExchange{10}}, layout, 1, 9, MaxSparsePayloadBytes(88, 88, true), false},
      {{SparseExchange{88}}, layout, 1, 65'536, MaxSparsePayloadBytes(88, 88, true), false},
      {Sketch(false), dealt, 0, 5, MaxSparsePayloadBytes(group_elements, 20, false), false},
      {Sketch(true), dealt, 0, 5, MaxSparsePayloadBytes(group_elements, 20, true), false},
      {{ValuesExchange{7, 0, DType::kFloat16}}, dealt, 1, 5, 7 * 2},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(absl::StrCat(ExchangeName(test_case.exchange), ", chunk ", test_case.chunk));
    const PayloadSize size = ResultSize(test_case.exchange, test_case.layout, test_case.chunk,
                                        test_case.num_participants);
    EXPECT_EQ(size.max_bytes, test_case.max_bytes);
    EXPECT_EQ(size.fixed, test_case.fixed);
  }
}

TEST(ExchangePayloadTest, TheMostCandidatesAreTheElementsThatLive) {
  const Layout dealt = DealtLayout();
  const uint32_t num_elements = dealt.chunks()[0].num_elements;
  EXPECT_EQ(ResultSize(Sketch(true, num_elements), dealt, 0, 1).max_bytes,
            MaxSparsePayloadBytes(num_elements, num_elements - 1, true));
}

// The largest of the sizes, over the exchanges of a chunk.
template <typename SizeOf>
uint64_t LargestBytes(const Layout& layout, size_t chunk, SizeOf size_of) {
  uint64_t largest_bytes = 0;
  for (const Exchange& exchange : SampleExchanges(layout, chunk)) {
    largest_bytes = std::max(largest_bytes, size_of(exchange).max_bytes);
  }
  return largest_bytes;
}

// From 1 to `roster_limit`, but no more than may relay.
uint32_t Participants(const Exchange& exchange, uint32_t roster_limit) {
  return absl::holds_alternative<SignRelayExchange>(exchange.kind)
             ? std::min(roster_limit, kMaxRelayParticipants)
             : roster_limit;
}

void ExpectTightBounds(const Layout& layout) {
  for (size_t c = 0; c < layout.chunks().size(); ++c) {
    SCOPED_TRACE(absl::StrCat("chunk ", c, " of ", layout.chunks()[c].num_elements));
    ASSERT_EQ(MaxContributionBytes(layout, c),
              LargestBytes(layout, c, [&](const Exchange& exchange) {
                return ContributionSize(exchange, layout, c);
              }));
    for (const uint32_t roster_limit : {1u, 2u, 5u, 16u, 17u, 65'536u}) {
      SCOPED_TRACE(absl::StrCat("roster ", roster_limit));
      ASSERT_EQ(MaxResultBytes(layout, c, roster_limit),
                LargestBytes(layout, c, [&](const Exchange& exchange) {
                  return ResultSize(exchange, layout, c, Participants(exchange, roster_limit));
                }));
    }
  }
}

TEST(ExchangePayloadTest, BoundsAreTheLargestPayloadsOfAnyExchange) {
  for (uint32_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937 random(seed);
    const auto below = [&random](uint32_t n) { return static_cast<uint32_t>(random() % n); };
    // From tensors of one element to tensors of several chunks.
    const uint32_t largest = 1u << below(12);
    std::vector<Tensor> tensors;
    const size_t count = 1 + below(100);
    for (size_t t = 0; t < count; ++t) {
      tensors.push_back({absl::StrCat(t), 1 + below(largest),
                         below(4) == 0 ? Treatment::kDense : Treatment::kCompressed});
    }
    const uint32_t chunk_elements = 256 * (1 + below(8));
    const absl::StatusOr<Layout> layout = Layout::Create(tensors, chunk_elements);
    ASSERT_THAT(layout, IsOk());
    ExpectTightBounds(*layout);
    if (layout->num_compressed() == 0) continue;
    const absl::StatusOr<Layout> dealt =
        Layout::Create(tensors, chunk_elements, DealingOptions{.num_groups = 1, .seed = seed});
    ASSERT_THAT(dealt, IsOk());
    ExpectTightBounds(*dealt);
  }
}

TEST(ExchangePayloadTest, BoundsOfAGroupLargerThanAnySmallSketch) {
  const auto layout = Layout::Create({{"a", 70'016}}, 512, DealingOptions{.num_groups = 1});
  ASSERT_THAT(layout, IsOk());
  EXPECT_EQ(MaxContributionBytes(*layout, 0), 4u * 70'016);
  ExpectTightBounds(*layout);
}

TEST(ExchangePayloadTest, BoundsCountTheScalesOfTinyTensors) {
  std::vector<Tensor> tensors;
  for (int t = 0; t < 512; ++t) tensors.push_back({absl::StrCat(t), 1});
  const absl::StatusOr<Layout> layout = Layout::Create(std::move(tensors), 512);
  ASSERT_THAT(layout, IsOk());
  EXPECT_EQ(MaxResultBytes(*layout, 0, 1'000'000), 16u * (512 * 4 + 64));
}

TEST(ExchangePayloadTest, AcceptsPayloadsOfTheirSizeAndNoOther) {
  for (const Layout& layout : {ContiguousLayout(), DealtLayout()}) {
    for (size_t c = 0; c < layout.chunks().size(); ++c) {
      for (const Exchange& exchange : SampleExchanges(layout, c)) {
        SCOPED_TRACE(absl::StrCat(ExchangeName(exchange), ", chunk ", c));
        const struct {
          Buffer payload;
          PayloadSize size;
          absl::Status (*validate)(const Exchange&, const Layout&, size_t,
                                   absl::Span<const uint8_t>);
        } kDirections[] = {
            {ValidContribution(exchange, layout, c), ContributionSize(exchange, layout, c),
             &Contribute},
            {ValidResult(exchange, layout, c), ResultSize(exchange, layout, c, kParticipants),
             &Receive},
        };
        for (const auto& direction : kDirections) {
          const absl::Span<const uint8_t> bytes = direction.payload.bytes();
          ASSERT_LE(bytes.size(), direction.size.max_bytes);
          ASSERT_THAT(direction.validate(exchange, layout, c, bytes), IsOk());
          std::vector<uint8_t> longer(bytes.begin(), bytes.end());
          longer.push_back(0);
          for (const absl::Span<const uint8_t> wrong :
               {bytes.first(bytes.size() - 1), absl::MakeConstSpan(longer)}) {
            const absl::Status status = direction.validate(exchange, layout, c, wrong);
            ASSERT_THAT(status, Refused("`payload"));
            if (direction.size.fixed) {
              ASSERT_THAT(status, Refused(absl::StrCat("`payload` has ", wrong.size(), " bytes")));
            }
          }
          ASSERT_THAT(direction.validate(exchange, layout, c, {}),
                      Refused("`payload` has 0 bytes"));
        }
      }
    }
  }
}

// `payload` with `value` behind `offset` bytes.
Buffer WithValue(Buffer payload, size_t offset, float value) {
  std::memcpy(payload.data() + offset, &value, sizeof(value));
  return payload;
}

TEST(ExchangePayloadTest, ContributionsFollowTheRulesOfTheirCodec) {
  const Layout layout = ContiguousLayout();
  const Layout dealt = DealtLayout();
  const ScaleGranularity per_tensor = {ScaleGranularity::Unit::kTensor};
  const Exchange contiguous[] = {{SignExchange{.granularity = per_tensor}},
                                 {SignRelayExchange{per_tensor}},
                                 {DenseExchange{DType::kFloat32}}};
  for (const Exchange& exchange : contiguous) {
    SCOPED_TRACE(ExchangeName(exchange));
    const Buffer payload = WithValue(ValidContribution(exchange, layout, 0), 4, kNan);
    EXPECT_THAT(Contribute(exchange, layout, 0, payload.bytes()), Refused("[1]` = nan, must be"));
  }
  const Exchange grouped[] = {Sketch(false), {ValuesExchange{20}}, {DenseExchange{}}};
  for (const Exchange& exchange : grouped) {
    SCOPED_TRACE(ExchangeName(exchange));
    const Buffer payload = WithValue(ValidContribution(exchange, dealt, 0), 4 * 19, kNan);
    EXPECT_THAT(Contribute(exchange, dealt, 0, payload.bytes()),
                Refused("`payload[19]` = nan, must be finite and at most 2^64 in magnitude"));
  }
  const Exchange sparse = {SparseExchange{10}};
  const Buffer payload = WithValue(ValidContribution(sparse, layout, 0), 4 + 4 * 9, kNan);
  EXPECT_THAT(Contribute(sparse, layout, 0, payload.bytes()),
              Refused("`payload.values[9]` = nan, must be finite and at most 2^64"));
}

TEST(ExchangePayloadTest, RefusesVotesBeyondTheChunk) {
  const Layout layout = ContiguousLayout();
  const auto ends = Layout::Create({{"a", 12}}, 256);
  ASSERT_THAT(ends, IsOk());
  for (const VoteResult result : {VoteResult::kDrawn, VoteResult::kMajority, VoteResult::kCounts}) {
    const Exchange exchange = {VoteExchange{result}};
    Buffer votes = Zeros(2);
    votes.bytes()[1] = 0x10;
    EXPECT_THAT(Contribute(exchange, *ends, 0, votes.bytes()), Refused("`payload[1]` = 0x10"));
    Buffer outcome = ValidResult(exchange, *ends, 0);
    outcome.bytes().back() = 0x10;
    EXPECT_THAT(Receive(exchange, *ends, 0, outcome.bytes()),
                Refused(absl::StrCat("`payload[", outcome.size() - 1, "]` = 0x10")));
  }
}

TEST(ExchangePayloadTest, RefusesMoreVotesThanThereWere) {
  const Layout layout = ContiguousLayout();
  const Exchange exchange = {VoteExchange{VoteResult::kCounts}};
  // Two planes: 3 is the most they can say.
  Buffer payload = Zeros(2 * 11);
  payload.bytes()[3] = 0x04;
  payload.bytes()[11 + 3] = 0x04;
  EXPECT_THAT(ValidateResult(exchange, layout, 1, 3, payload.bytes(), AnyBackend()), IsOk());
  EXPECT_THAT(ValidateResult(exchange, layout, 1, 2, payload.bytes(), AnyBackend()),
              Refused("`payload.counts[26]` = 3, must be at most 2, the participants"));
}

TEST(ExchangePayloadTest, ResultsOfARelayAreJudgedBlockByBlock) {
  const Layout layout = ContiguousLayout();
  const Exchange exchange = {SignRelayExchange{{ScaleGranularity::Unit::kTensor}}};
  Buffer payload = ValidResult(exchange, layout, 1);
  payload.bytes()[2 * 16 + 15] = 1;
  EXPECT_THAT(Receive(exchange, layout, 1, payload.bytes()),
              Refused("`payload.blocks[2].padding[0]` = 1, must be 0"));
  payload = WithValue(ValidResult(exchange, layout, 1), 16, -1);
  EXPECT_THAT(Receive(exchange, layout, 1, payload.bytes()),
              Refused("`payload.blocks[1]`: `payload.scales[0]` = -1"));
}

TEST(ExchangePayloadTest, IgnoresTheSignsAndVotesOfMaskedElements) {
  const Layout layout = ContiguousLayout();
  const Exchange sign = {SignExchange{.granularity = {.unit = ScaleGranularity::Unit::kModel}}};
  Buffer payload = ValidContribution(sign, layout, 0);
  payload.bytes()[sizeof(float)] = 1 << 3;
  EXPECT_THAT(Contribute(sign, layout, 0, payload.bytes()), IsOk());
  const Exchange vote = {VoteExchange{}};
  payload = ValidContribution(vote, layout, 0);
  payload.bytes()[0] = 1 << 3;
  EXPECT_THAT(Contribute(vote, layout, 0, payload.bytes()), IsOk());
}

TEST(ExchangePayloadTest, RefusesDenseValuesThatAreNotFiniteAlsoWhereMasked) {
  const Layout layout = ContiguousLayout();
  const Exchange exchange = {DenseExchange{DType::kFloat32}};
  const Buffer payload = WithValue(ValidContribution(exchange, layout, kDenseChunk), 0,
                                   std::numeric_limits<float>::infinity());
  EXPECT_THAT(Contribute(exchange, layout, kDenseChunk, payload.bytes()),
              Refused("`payload[0]` = inf"));
}

TEST(ExchangePayloadTest, SparsePayloadsHaveNoMoreElementsThanTheirExchangeAllows) {
  const Layout layout = ContiguousLayout();
  const Exchange exchange = {SparseExchange{10}};
  const auto of_size = [&layout](size_t count) {
    return Sparse(FirstLive(layout, 0, count), layout, 0, true);
  };
  EXPECT_THAT(Contribute(exchange, layout, 0, of_size(0).bytes()), IsOk());
  EXPECT_THAT(Contribute(exchange, layout, 0, of_size(10).bytes()), IsOk());
  EXPECT_THAT(Contribute(exchange, layout, 0, of_size(11).bytes()),
              Refused("`payload.count` = 11, must be at most 10"));
  EXPECT_THAT(Receive(exchange, layout, 0, of_size(0).bytes()), IsOk());
  EXPECT_THAT(Receive(exchange, layout, 0, of_size(30).bytes()), IsOk());
  EXPECT_THAT(Receive(exchange, layout, 0, of_size(31).bytes()),
              Refused("`payload.count` = 31, must be at most 30"));
}

TEST(ExchangePayloadTest, SketchResultsHaveExactlyTheirCandidates) {
  const Layout dealt = DealtLayout();
  const uint32_t num_live = NumLive(dealt, 0);
  for (const bool with_estimates : {false, true}) {
    const auto of_size = [&](size_t count) {
      return Sparse(FirstLive(dealt, 0, count), dealt, 0, with_estimates);
    };
    EXPECT_THAT(Receive(Sketch(with_estimates), dealt, 0, of_size(20).bytes()), IsOk());
    EXPECT_THAT(Receive(Sketch(with_estimates), dealt, 0, of_size(19).bytes()),
                Refused("`payload.count` = 19, must be 20"));
    EXPECT_THAT(Receive(Sketch(with_estimates), dealt, 0, of_size(21).bytes()),
                Refused("`payload.count` = 21, must be at most 20"));
    // Fewer live than there are to choose.
    const Exchange all = Sketch(with_estimates, num_live + 1);
    EXPECT_THAT(Receive(all, dealt, 0, of_size(num_live).bytes()), IsOk());
    EXPECT_THAT(Receive(all, dealt, 0, of_size(num_live - 1).bytes()),
                Refused(absl::StrCat("`payload.count` = ", num_live - 1, ", must be ", num_live)));
  }
}

TEST(ExchangePayloadTest, SketchResultsBringEstimatesWhereAskedFor) {
  const Layout dealt = DealtLayout();
  const std::vector<uint32_t> indices = FirstLive(dealt, 0, 20);
  EXPECT_THAT(Receive(Sketch(true), dealt, 0, Sparse(indices, dealt, 0, false).bytes()),
              Refused("`payload` has "));
  EXPECT_THAT(Receive(Sketch(false), dealt, 0, Sparse(indices, dealt, 0, true).bytes()),
              Refused("`payload.indices"));
  const Buffer payload = WithValue(Sparse(indices, dealt, 0, true), 4 + 4 * 19, kNan);
  EXPECT_THAT(Receive(Sketch(true), dealt, 0, payload.bytes()),
              Refused("`payload.values[19]` = nan"));
}

TEST(ExchangePayloadTest, RefusesMaskedElements) {
  const Layout layout = ContiguousLayout();
  const Exchange sparse = {SparseExchange{10}};
  const Buffer masked = Sparse({1, 3, 4}, layout, 0, true);
  EXPECT_THAT(Contribute(sparse, layout, 0, masked.bytes()),
              Refused("`payload.indices[1]` = 3, must not be masked"));
  EXPECT_THAT(Receive(sparse, layout, 0, masked.bytes()),
              Refused("`payload.indices[1]` = 3, must not be masked"));
  EXPECT_THAT(Contribute(sparse, layout, 1, Sparse({1, 3, 4}, layout, 1, true).bytes()), IsOk());

  const Layout dealt = DealtLayout();
  for (size_t c = 0; c < 2; ++c) {
    const std::vector<uint32_t> live = FirstLive(dealt, c, NumLive(dealt, c));
    const auto hole = std::adjacent_find(live.begin(), live.end(),
                                         [](uint32_t a, uint32_t b) { return b != a + 1; });
    // Element 0 is masked in one of the groups, an inner one in the other.
    const uint32_t index = live.front() != 0 ? 0 : *hole + 1;
    EXPECT_THAT(Receive(Sketch(false, 1), dealt, c, Sparse({index}, dealt, c, false).bytes()),
                Refused(absl::StrCat("`payload.indices[0]` = ", index, ", must not be masked")));
  }
}

TEST(ExchangePayloadTest, RefusesElementsBeyondTheChunk) {
  const Layout layout = ContiguousLayout();
  // Written for a longer chunk, with the same parameter.
  const std::vector<float> values = {1, 1};
  const Buffer payload = EncodeSparse({5, 88}, values, 90);
  EXPECT_THAT(Contribute({SparseExchange{10}}, layout, 1, payload.bytes()),
              Refused("`payload.indices[1]` = 88, must be less than 88"));
  EXPECT_THAT(Receive({SparseExchange{10}}, layout, 1, payload.bytes()),
              Refused("`payload.indices[1]` = 88, must be less than 88"));
}

}  // namespace
}  // namespace tally
