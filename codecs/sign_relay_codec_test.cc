#include "codecs/sign_relay_codec.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/buffer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Buffer BufferOf(const std::vector<uint8_t>& bytes) {
  Buffer buffer(bytes.size());
  std::copy(bytes.begin(), bytes.end(), buffer.bytes().begin());
  return buffer;
}

// Two participants, 12 elements in two segments: the worked example of docs/wire-format.md.
constexpr size_t kNumElements = 12;
constexpr size_t kNumSegments = 2;
const std::vector<uint8_t>& GoldenPayload() {
  static const auto& golden = *new std::vector<uint8_t>{
      0x00, 0x00, 0x00, 0x3f, 0x00, 0x00, 0x40, 0x40,  // 0.5, 3
      0x8b, 0x05, 0x00, 0x00,                          // bits, padding
      0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x00, 0x00,  // 1, 0
      0xff, 0x0f, 0x00, 0x00,                          // bits, padding
  };
  return golden;
}

TEST(SignRelayCodecTest, BlocksArePaddedToFourBytes) {
  EXPECT_EQ(SignRelayBlockBytes(8, 1), 8u);
  EXPECT_EQ(SignRelayBlockBytes(kNumElements, kNumSegments), 12u);
  EXPECT_EQ(SignRelayBlockBytes(32, 1), 8u);
  EXPECT_EQ(SignRelayBlockBytes(33, 1), 12u);
}

TEST(SignRelayCodecTest, DecodesTheGoldenPayload) {
  const Buffer payload = BufferOf(GoldenPayload());
  const auto blocks = DecodeSignRelay(payload.bytes(), kNumElements, kNumSegments, 2);
  ASSERT_THAT(blocks, IsOk());
  ASSERT_THAT(*blocks, SizeIs(2));
  EXPECT_THAT((*blocks)[0].scales, ElementsAre(0.5f, 3));
  EXPECT_THAT((*blocks)[0].bits, ElementsAre(0x8b, 0x05));
  EXPECT_THAT((*blocks)[1].scales, ElementsAre(1, 0));
  EXPECT_THAT((*blocks)[1].bits, ElementsAre(0xff, 0x0f));
  EXPECT_EQ((*blocks)[1].bits.data(), payload.data() + 20) << "must share the payload's memory";
}

TEST(SignRelayCodecTest, ReadsACheckedPayloadWithoutCheckingAgain) {
  const Buffer payload = BufferOf(GoldenPayload());
  const std::vector<SignBlock> blocks =
      SignRelayBlocks(payload.bytes(), kNumElements, kNumSegments);
  ASSERT_THAT(blocks, SizeIs(2));
  EXPECT_THAT(blocks[0].bits, ElementsAre(0x8b, 0x05));
  EXPECT_THAT(blocks[1].scales, ElementsAre(1, 0));
  EXPECT_THAT(SignRelayBlocks({}, kNumElements, kNumSegments), IsEmpty());
}

TEST(SignRelayCodecTest, ABlockOfWholeWordsHasNoPadding) {
  const Buffer payload = BufferOf({0, 0, 0x80, 0x3f, 0xff, 0xff, 0xff, 0xff});
  EXPECT_THAT(DecodeSignRelay(payload.bytes(), 32, 1, 1), IsOkAndHolds(SizeIs(1)));
}

TEST(SignRelayCodecTest, RefusesEveryOtherLength) {
  for (size_t size = 0; size <= 40; ++size) {
    if (size == GoldenPayload().size()) continue;
    SCOPED_TRACE(size);
    const Buffer payload = BufferOf(std::vector<uint8_t>(size));
    EXPECT_THAT(DecodeSignRelay(payload.bytes(), kNumElements, kNumSegments, 2),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         absl::StrCat("`payload` has ", size,
                                      " bytes, must have 24, 12 for each of 2 participants")));
  }
}

TEST(SignRelayCodecTest, NamesTheBlockAtFault) {
  const struct {
    size_t byte;
    uint8_t value;
    const char* message;
  } kCases[] = {
      {7, 0xc0, "`payload.blocks[0]`: `payload.scales[1]` = -3, must be from +0 to 2^64"},
      {15, 0xff, "`payload.blocks[1]`: `payload.scales[0]` = "},
      {9, 0x15, "`payload.blocks[0]`: `payload.bits[1]` = 0x15, must have only its lower 4 bits"},
      {10, 0x01, "`payload.blocks[0].padding[0]` = 1, must be 0"},
      {11, 0x80, "`payload.blocks[0].padding[1]` = 128, must be 0"},
      {22, 0x02, "`payload.blocks[1].padding[0]` = 2, must be 0"},
      {23, 0x01, "`payload.blocks[1].padding[1]` = 1, must be 0"},
  };
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.message);
    Buffer payload = BufferOf(GoldenPayload());
    payload.bytes()[test_case.byte] = test_case.value;
    EXPECT_THAT(DecodeSignRelay(payload.bytes(), kNumElements, kNumSegments, 2),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test_case.message)));
  }
}

}  // namespace
}  // namespace tally
