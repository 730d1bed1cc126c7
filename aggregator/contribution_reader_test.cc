#include "aggregator/contribution_reader.h"

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "aggregator/job_description.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::Eq;
using ::testing::HasSubstr;

constexpr uint64_t kRound = 4;
constexpr uint64_t kChain = 0x77;
constexpr size_t kChunkElements = 512;

// Chunks 0 and 2 are ours; 2 is dense and has 100 elements.
v1::Hello TestHello() {
  const absl::StatusOr<Layout> layout =
      Layout::Create({{"weights", 1024}, {"bias", 100, Treatment::kDense}}, kChunkElements);
  EXPECT_THAT(layout, IsOk());
  return HelloBuilder().WithLayout(*layout).Aggregators({"agg-0", "agg-1"}, 0).Build();
}

std::string Ones(size_t num_elements = kChunkElements) {
  return DensePayload(std::vector<float>(num_elements, 1.0f));
}

class ContributionReaderTest : public testing::Test {
 protected:
  ContributionReaderTest() : hello_(TestHello()), reader_(MakeReader()) {}

  ContributionReader MakeReader() const {
    absl::StatusOr<ValidHello> valid = ValidateHello(hello_, "agg-0");
    EXPECT_THAT(valid, IsOk());
    return ContributionReader(std::make_shared<const JobDescription>(valid->description),
                              valid->member, HostBackends().front());
  }

  TestContribution Contribution(uint32_t chunk, std::string payload,
                                const Exchange& exchange = DenseFloat32()) const {
    return MakeContribution(hello_, chunk, kRound, kChain, exchange, std::move(payload));
  }

  absl::StatusOr<absl::optional<StagedContribution>> Read(const v1::ClientMessage& message) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(message.payload().data());
    return reader_.Read(message.contribution(), {bytes, message.payload().size()});
  }

  // Reads all slices; the outcome of the last.
  absl::StatusOr<absl::optional<StagedContribution>> ReadAll(const TestContribution& contribution,
                                                             size_t slice_bytes = kSliceBytes) {
    const std::vector<v1::ClientMessage> slices = contribution.Slices(slice_bytes);
    for (size_t i = 0; i + 1 < slices.size(); ++i) {
      EXPECT_THAT(Read(slices[i]), IsOkAndHolds(Eq(absl::nullopt)));
    }
    return Read(slices.back());
  }

  const v1::Hello hello_;
  ContributionReader reader_;
};

TEST_F(ContributionReaderTest, GivesAContributionThatComesInOnePiece) {
  const TestContribution sent = Contribution(0, Ones());
  const auto staged = ReadAll(sent);
  ASSERT_THAT(staged, IsOk());
  ASSERT_TRUE(staged->has_value());
  EXPECT_EQ((*staged)->chunk, 0u);
  EXPECT_EQ((*staged)->place.round, kRound);
  EXPECT_EQ((*staged)->prev_chain, kChain);
  EXPECT_FALSE((*staged)->abstain);
  EXPECT_EQ((*staged)->exchange, DenseFloat32());
  EXPECT_EQ((*staged)->payload_digest, sent.message.payload_digest());
  EXPECT_EQ(std::string((*staged)->payload->bytes().begin(), (*staged)->payload->bytes().end()),
            sent.payload);
}

TEST_F(ContributionReaderTest, JoinsSlicesOfAnySize) {
  for (const size_t slice_bytes : {1, 7, 1024, 2047}) {
    SCOPED_TRACE(slice_bytes);
    const auto staged = ReadAll(Contribution(0, Ones()), slice_bytes);
    ASSERT_THAT(staged, IsOk());
    ASSERT_TRUE(staged->has_value());
    EXPECT_EQ((*staged)->payload->size(), kChunkElements * 4);
  }
}

TEST_F(ContributionReaderTest, ReadsOneContributionAfterTheOther) {
  EXPECT_THAT(ReadAll(Contribution(0, Ones()), 100), IsOk());
  const auto sign = ReadAll(Contribution(0, SignPayload({1, 2}, kChunkElements), SignBlocks256()));
  ASSERT_THAT(sign, IsOk());
  EXPECT_EQ((*sign)->exchange, SignBlocks256());
  const auto dense = ReadAll(Contribution(2, Ones(100)));
  ASSERT_THAT(dense, IsOk());
  EXPECT_EQ((*dense)->chunk, 2u);
}

TEST_F(ContributionReaderTest, AnAbstentionHasNoPayload) {
  const auto staged = ReadAll(MakeAbstention(hello_, 0, kRound, kChain, DenseFloat32()));
  ASSERT_THAT(staged, IsOk());
  ASSERT_TRUE(staged->has_value());
  EXPECT_TRUE((*staged)->abstain);
  EXPECT_EQ((*staged)->payload, nullptr);
}

TEST_F(ContributionReaderTest, RefusesASliceOfAnotherPayloadInBetween) {
  const struct {
    const char* name;
    std::function<void(v1::Contribution&)> change;
    const char* message;
  } kRows[] = {
      {"chunk", [](v1::Contribution& next) { next.set_chunk(2); }, "2, 4, 0, must be 0, 4, 0"},
      {"round", [](v1::Contribution& next) { next.set_round(5); }, "0, 5, 0, must be 0, 4, 0"},
      {"half", [](v1::Contribution& next) { next.set_half(1); }, "0, 4, 1, must be 0, 4, 0"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    ContributionReader reader = MakeReader();
    std::vector<v1::ClientMessage> slices = Contribution(0, Ones()).Slices(1024);
    EXPECT_THAT(reader.Read(slices[0].contribution(),
                            {reinterpret_cast<const uint8_t*>(slices[0].payload().data()), 1024}),
                IsOk());
    row.change(*slices[1].mutable_contribution());
    EXPECT_THAT(reader.Read(slices[1].contribution(),
                            {reinterpret_cast<const uint8_t*>(slices[1].payload().data()), 1024}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.message)));
  }
}

TEST_F(ContributionReaderTest, RefusesASliceThatLeavesAGap) {
  const std::vector<v1::ClientMessage> slices = Contribution(0, Ones()).Slices(512);
  EXPECT_THAT(Read(slices[0]), IsOk());
  EXPECT_THAT(Read(slices[2]), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("`slice.offset_bytes` = 1024, must be 512")));
}

TEST_F(ContributionReaderTest, RefusesASliceThatChangesTheTotal) {
  std::vector<v1::ClientMessage> slices = Contribution(0, Ones()).Slices(1024);
  EXPECT_THAT(Read(slices[0]), IsOk());
  slices[1].mutable_contribution()->mutable_slice()->set_total_bytes(4096);
  EXPECT_THAT(Read(slices[1]), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("`slice.total_bytes` = 4096, must be 2048")));
}

struct Refusal {
  const char* name;
  // Of one contribution to chunk 0 whose payload is right.
  std::function<void(TestContribution&)> break_it;
  absl::StatusCode code;
  std::string message;
};

class ContributionReaderRefusesTest : public ContributionReaderTest,
                                      public testing::WithParamInterface<Refusal> {};

TEST_P(ContributionReaderRefusesTest, NamesPlaceFieldValueAndRule) {
  TestContribution contribution = Contribution(0, Ones());
  GetParam().break_it(contribution);
  EXPECT_THAT(ReadAll(contribution),
              StatusIs(GetParam().code, AllOf(HasSubstr("chunk "), HasSubstr(", round 4: "),
                                              HasSubstr(GetParam().message))));
}

void SetFirstValue(TestContribution& contribution, float value) {
  contribution.payload.replace(0, sizeof(float), DensePayload({value}));
  contribution.Sign();
}

void MakeSign(TestContribution& contribution, const std::vector<float>& scales) {
  *contribution.message.mutable_exchange() = EncodeExchange(SignBlocks256());
  contribution.payload = SignPayload(scales, kChunkElements);
  contribution.Sign();
}

std::vector<Refusal> Refusals() {
  constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
  constexpr absl::StatusCode kUnimplemented = absl::StatusCode::kUnimplemented;
  return {
      {"ChunkOfAnotherAggregator", [](TestContribution& c) { c.message.set_chunk(1); }, kInvalid,
       "`chunk` = 1, must be below 3 and 0 modulo 2"},
      {"ChunkPastTheEnd", [](TestContribution& c) { c.message.set_chunk(4); }, kInvalid,
       "`chunk` = 4, must be below 3"},
      {"SecondHalf", [](TestContribution& c) { c.message.set_half(1); }, kInvalid,
       "`half` = 1, must be 0"},
      {"OtherRun", [](TestContribution& c) { c.message.set_run(8); }, kInvalid,
       "`run` = 8, must be 7 as in this stream's Hello"},
      {"OtherWorker", [](TestContribution& c) { c.message.mutable_member()->set_worker("w-9"); },
       kInvalid, "`member` = w-9/100, must be w-0/100 as in this stream's Hello"},
      {"OtherIncarnation",
       [](TestContribution& c) { c.message.mutable_member()->set_incarnation(101); }, kInvalid,
       "`member` = w-0/101, must be w-0/100"},
      {"NoExchange", [](TestContribution& c) { c.message.clear_exchange(); }, kUnimplemented,
       "`exchange.kind` is unset or unknown to this build"},
      {"UnknownKindOfExchange",
       [](TestContribution& c) {
         c.message.mutable_exchange()->clear_kind();
         // Field 9, an empty message: a kind that v1 may get later.
         c.message.mutable_exchange()
             ->GetReflection()
             ->MutableUnknownFields(c.message.mutable_exchange())
             ->AddLengthDelimited(9, "");
       },
       kUnimplemented, "`exchange.kind` is unset or unknown to this build"},
      {"UnknownFieldInExchange",
       [](TestContribution& c) {
         v1::DenseExchange& dense = *c.message.mutable_exchange()->mutable_dense();
         dense.GetReflection()->MutableUnknownFields(&dense)->AddVarint(9, 1);
       },
       kUnimplemented, "`exchange` = dense(FLOAT32) with further fields"},
      {"NoDataType",
       [](TestContribution& c) {
         c.message.mutable_exchange()->mutable_dense()->clear_data_type();
       },
       kInvalid, "`exchange.dense.data_type` = 0"},
      {"NoDivisor", [](TestContribution& c) { c.message.mutable_exchange()->clear_divisor(); },
       kInvalid, "`exchange.divisor` = 0"},
      {"SignInTheDensePart",
       [](TestContribution& c) {
         MakeSign(c, {1, 1});
         c.message.set_chunk(2);
       },
       kInvalid, "`exchange.kind` = sign, must be dense for chunk 2"},
      {"TruncatedAndSaysSo", [](TestContribution& c) { c.payload.resize(2044); }, kInvalid,
       "`slice.total_bytes` = 2044, must be 2048 for dense(FLOAT32)"},
      {"Oversized", [](TestContribution& c) { c.payload.append(4, '\0'); }, kInvalid,
       "`slice.total_bytes` = 2052, must be 2048 for dense(FLOAT32)"},
      {"AbstainsWithPayload", [](TestContribution& c) { c.message.set_abstain(true); }, kInvalid,
       "`slice.total_bytes` = 2048, must be 0 when abstaining"},
      {"EmptyWithoutAbstaining", [](TestContribution& c) { c.payload.clear(); }, kInvalid,
       "`slice.total_bytes` = 0, must be 2048"},
      {"Damaged", [](TestContribution& c) { c.payload[9] ^= 1; }, absl::StatusCode::kDataLoss,
       "`payload_digest` = "},
      {"NotANumber",
       [](TestContribution& c) { SetFirstValue(c, std::numeric_limits<float>::quiet_NaN()); },
       kInvalid, "`payload[0]` = nan, must be finite"},
      {"Infinite",
       [](TestContribution& c) { SetFirstValue(c, std::numeric_limits<float>::infinity()); },
       kInvalid, "`payload[0]` = inf, must be finite"},
      {"TooLarge", [](TestContribution& c) { SetFirstValue(c, 3e38f); }, kInvalid,
       "`payload[0]` = 3e+38, must be finite and at most 2^64"},
      {"InfiniteScale",
       [](TestContribution& c) {
         MakeSign(c, {1, std::numeric_limits<float>::infinity()});
       },
       kInvalid, "`payload.scales[1]` = inf, must be from +0 to 2^64"},
      {"NegativeScale",
       [](TestContribution& c) {
         MakeSign(c, {-1, 1});
       },
       kInvalid, "`payload.scales[0]` = -1, must be from +0 to 2^64"},
  };
}

INSTANTIATE_TEST_SUITE_P(EveryRule, ContributionReaderRefusesTest, testing::ValuesIn(Refusals()),
                         [](const auto& row) { return row.param.name; });

TEST_F(ContributionReaderTest, RefusesAPieceThatIsLongerThanWhatIsMissing) {
  TestContribution contribution = Contribution(0, Ones());
  v1::ClientMessage message = contribution.Slices(kSliceBytes).front();
  message.mutable_payload()->append("more");
  EXPECT_THAT(Read(message),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`payload` has 2052 bytes, must have at most 2048")));
}

TEST_F(ContributionReaderTest, RefusesASliceOverOneMebibyte) {
  const absl::StatusOr<Layout> layout = Layout::Create({{"weights", 1 << 19}}, 1 << 19);
  ASSERT_THAT(layout, IsOk());
  const v1::Hello hello = HelloBuilder().WithLayout(*layout).Build();
  absl::StatusOr<ValidHello> valid = ValidateHello(hello, "agg-0");
  ASSERT_THAT(valid, IsOk());
  ContributionReader reader(std::make_shared<const JobDescription>(valid->description),
                            valid->member, HostBackends().front());
  const TestContribution contribution =
      MakeContribution(hello, 0, 0, kChain, DenseFloat32(), Ones(1 << 19));
  const v1::ClientMessage message = contribution.Slices(kMaxSliceBytes + 4).front();
  EXPECT_THAT(reader.Read(message.contribution(),
                          {reinterpret_cast<const uint8_t*>(message.payload().data()),
                           message.payload().size()}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`payload` has 1048580 bytes, must have at most 1048576")));
}

}  // namespace
}  // namespace tally
