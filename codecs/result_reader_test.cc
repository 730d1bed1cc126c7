#include "codecs/result_reader.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/result_maker.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

v1::Result Slice(uint32_t chunk, uint64_t offset_bytes, uint64_t total_bytes) {
  v1::Result slice;
  slice.set_chunk(chunk);
  slice.set_round(5);
  slice.mutable_slice()->set_offset_bytes(offset_bytes);
  slice.mutable_slice()->set_total_bytes(total_bytes);
  return slice;
}

class ResultReaderTest : public testing::Test {
 protected:
  const Layout layout_ = LayoutOfChunks(2);
  ResultReader reader_{&layout_, /*roster_limit=*/2};
};

TEST_F(ResultReaderTest, ResultInOneSliceIsCompleteAtOnce) {
  const auto result = reader_.Take(Slice(0, 0, 4), "abcd");
  ASSERT_THAT(result, IsOk());
  ASSERT_TRUE(result->has_value());
  EXPECT_EQ((*result)->payload->size(), 4u);
}

TEST_F(ResultReaderTest, ResultWithoutPayloadIsCompleteAtOnce) {
  const auto result = reader_.Take(Slice(0, 0, 0), "");
  ASSERT_THAT(result, IsOk());
  ASSERT_TRUE(result->has_value());
  EXPECT_TRUE((*result)->payload->empty());
}

TEST_F(ResultReaderTest, PutsSlicesTogetherUnderTheFirstOnesMessage) {
  v1::Result first = Slice(1, 0, 6);
  first.set_header("header");
  auto result = reader_.Take(first, "abcd");
  ASSERT_THAT(result, IsOk());
  EXPECT_FALSE(result->has_value());
  result = reader_.Take(Slice(1, 4, 6), "ef");
  ASSERT_THAT(result, IsOk());
  ASSERT_TRUE(result->has_value());
  EXPECT_EQ((*result)->message.header(), "header");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>((*result)->payload->data()), 6), "abcdef");
}

TEST_F(ResultReaderTest, RefusesAChunkThatDoesNotExist) {
  EXPECT_THAT(reader_.Take(Slice(2, 0, 4), "abcd"),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("chunk 2, round 5: `result.chunk` must be less than 2")));
}

TEST_F(ResultReaderTest, RefusesAPayloadLargerThanTheChunksLargest) {
  EXPECT_THAT(reader_.Take(Slice(1, 0, uint64_t{1} << 40), "abcd"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("`slice.total_bytes`")));
}

TEST_F(ResultReaderTest, RefusesAnotherResultBetweenSlices) {
  ASSERT_THAT(reader_.Take(Slice(1, 0, 6), "abcd"), IsOk());
  EXPECT_THAT(reader_.Take(Slice(0, 0, 4), "abcd"),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("chunk 0"), HasSubstr("between the slices of chunk 1"))));
}

TEST_F(ResultReaderTest, RefusesAGap) {
  ASSERT_THAT(reader_.Take(Slice(1, 0, 6), "abc"), IsOk());
  EXPECT_THAT(reader_.Take(Slice(1, 4, 6), "ef"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("`slice.offset_bytes` = 4")));
}

}  // namespace
}  // namespace tally
