#include "codecs/checked_result.h"

#include <functional>
#include <memory>
#include <string>

#include "base/digest.h"
#include "codecs/roster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/result_maker.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

// A dense chunk of 10 elements in a run of one chunk.
class CheckedResultTest : public testing::Test {
 protected:
  absl::StatusOr<CheckedResult> Check(const v1::Result& result, SharedBuffer payload) const {
    return CheckResult(result, std::move(payload), layout_, *FastestHostBackend());
  }

  // The message of a result with this header.
  static v1::Result MessageOf(const v1::ResultHeader& header) {
    v1::Result result;
    result.set_chunk(header.chunk());
    result.set_round(header.round());
    result.set_half(header.half());
    result.set_header(header.SerializeAsString());
    return result;
  }

  SharedBuffer Zeros() const { return ZeroPayload(dense_, layout_, 0); }

  const Layout layout_ = LayoutOfChunks(1);
  const Exchange dense_ = {DenseExchange{}};
  ResultMaker maker_{layout_, {}};
};

TEST_F(CheckedResultTest, AcceptsGenesis) {
  const v1::Result message = MessageOf(maker_.GenesisOf(0));
  const absl::StatusOr<CheckedResult> result = Check(message, nullptr);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->chain, ChainOf(message.header()));
  EXPECT_FALSE(result->exchange.has_value());
}

TEST_F(CheckedResultTest, AcceptsResultWithItsPayload) {
  maker_.Checked(maker_.GenesisOf(0));
  const absl::StatusOr<CheckedResult> result = Check(MessageOf(maker_.NextOf(0, dense_)), Zeros());
  ASSERT_THAT(result, IsOk());
  EXPECT_TRUE(result->exchange == dense_);
  EXPECT_EQ(result->payload->size(), 40u);
}

TEST_F(CheckedResultTest, AcceptsExchangeWithoutParticipants) {
  maker_.Checked(maker_.GenesisOf(0));
  const absl::StatusOr<CheckedResult> result =
      Check(MessageOf(maker_.NextOf(0, dense_, {})), std::make_shared<const Buffer>());
  ASSERT_THAT(result, IsOk());
  EXPECT_FALSE(result->exchange.has_value());
}

TEST_F(CheckedResultTest, RefusesWhatContradictsItself) {
  maker_.Checked(maker_.GenesisOf(0));
  const v1::ResultHeader good = maker_.NextOf(0, dense_);
  const struct {
    std::string words;
    std::function<void(v1::ResultHeader&)> spoil;
  } rows[] = {
      {"`header.chunk` must be less than 1", [](auto& h) { h.set_chunk(1); }},
      {"`header.half` = 1, must be 0", [](auto& h) { h.set_half(1); }},
      {"`header.payload_bytes` = 39, must be 40", [](auto& h) { h.set_payload_bytes(39); }},
      {"`header.payload_digest` = 5, must be", [](auto& h) { h.set_payload_digest(5); }},
      {"`header.genesis` is set", [](auto& h) { h.mutable_genesis(); }},
      {"`header.exchange` is unset", [](auto& h) { h.clear_exchange(); }},
      {"`header.exchange` is set", [](auto& h) { h.clear_participants(); }},
      {"must be 0 where nobody took part",
       [](auto& h) {
         h.clear_participants();
         h.clear_exchange();
       }},
      {"data_type", [](auto& h) { h.mutable_exchange()->mutable_dense()->clear_data_type(); }},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.words);
    v1::ResultHeader header = good;
    row.spoil(header);
    EXPECT_THAT(Check(MessageOf(header), Zeros()),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(row.words)));
  }
}

TEST_F(CheckedResultTest, RefusesHeaderOfAnotherEntry) {
  v1::Result message = MessageOf(maker_.GenesisOf(0));
  message.set_round(812);
  EXPECT_THAT(Check(message, nullptr),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("chunk 0, round 812: `header` is")));
}

TEST_F(CheckedResultTest, RefusesHeaderThatIsNone) {
  v1::Result message = MessageOf(maker_.GenesisOf(0));
  message.set_header("\xff");
  EXPECT_THAT(Check(message, nullptr),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("tally.v1.ResultHeader")));
}

TEST_F(CheckedResultTest, RefusesPayloadThatBreaksItsCodecsRules) {
  maker_.Checked(maker_.GenesisOf(0));
  Buffer infinite(40);
  std::fill_n(infinite.data(), infinite.size(), uint8_t{0});
  infinite.data()[3] = 0x7f;
  infinite.data()[2] = 0x80;
  v1::ResultHeader header = maker_.NextOf(0, dense_);
  header.set_payload_digest(Digest64(absl::MakeConstSpan(infinite.data(), infinite.size())));
  EXPECT_THAT(Check(MessageOf(header), std::make_shared<const Buffer>(std::move(infinite))),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("chunk 0, round 0: ")));
}

TEST_F(CheckedResultTest, SaysThatItDoesNotKnowAKind) {
  maker_.Checked(maker_.GenesisOf(0));
  v1::ResultHeader header = maker_.NextOf(0, dense_);
  header.mutable_exchange()->clear_kind();
  EXPECT_THAT(Check(MessageOf(header), Zeros()),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("kind")));
}

}  // namespace
}  // namespace tally
