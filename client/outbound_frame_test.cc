#include "client/outbound_frame.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "codecs/limits.h"
#include "codecs/message_frame.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

SharedBuffer CountingPayload(size_t num_bytes) {
  Buffer payload(num_bytes);
  for (size_t i = 0; i < num_bytes; ++i) payload.data()[i] = static_cast<uint8_t>(i % 251);
  return std::make_shared<const Buffer>(std::move(payload));
}

v1::ClientMessage Parse(const OutboundFrame& frame) {
  std::string bytes = frame.head;
  bytes.append(reinterpret_cast<const char*>(frame.piece.data()), frame.piece.size());
  EXPECT_EQ(bytes.size(), frame.num_bytes());
  v1::ClientMessage message;
  EXPECT_THAT(ParseFrame(bytes, &message), IsOk());
  return message;
}

v1::ClientMessage ContributionMessage() {
  v1::ClientMessage message;
  message.mutable_contribution()->set_chunk(3);
  message.mutable_contribution()->set_round(812);
  message.mutable_contribution()->set_prev_chain(5);
  return message;
}

TEST(OutboundFrameTest, OtherMessagesAreOneFrame) {
  v1::ClientMessage message;
  message.mutable_leave()->set_last_round(9);
  const std::vector<OutboundFrame> frames = CutIntoFrames(message, nullptr);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(Parse(frames[0]).leave().last_round(), 9u);
}

TEST(OutboundFrameTest, AbstentionIsOneEmptySlice) {
  const std::vector<OutboundFrame> frames = CutIntoFrames(ContributionMessage(), nullptr);
  ASSERT_EQ(frames.size(), 1u);
  const v1::ClientMessage message = Parse(frames[0]);
  EXPECT_TRUE(message.contribution().has_slice());
  EXPECT_EQ(message.contribution().slice().total_bytes(), 0u);
  EXPECT_TRUE(message.payload().empty());
}

TEST(OutboundFrameTest, CutsAPayloadIntoSlicesThatShareItsMemory) {
  const SharedBuffer payload = CountingPayload(2 * kSliceBytes + 7);
  const std::vector<OutboundFrame> frames = CutIntoFrames(ContributionMessage(), payload);
  ASSERT_EQ(frames.size(), 3u);
  uint64_t offset = 0;
  for (size_t i = 0; i < frames.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(frames[i].piece.data(), payload->data() + offset);
    EXPECT_EQ(frames[i].payload, payload);
    const v1::ClientMessage message = Parse(frames[i]);
    EXPECT_EQ(message.contribution().chunk(), 3u);
    EXPECT_EQ(message.contribution().round(), 812u);
    EXPECT_EQ(message.contribution().prev_chain(), i == 0 ? 5u : 0u);
    EXPECT_EQ(message.contribution().slice().offset_bytes(), offset);
    EXPECT_EQ(message.contribution().slice().total_bytes(), payload->size());
    offset += message.payload().size();
  }
  EXPECT_EQ(offset, payload->size());
}

}  // namespace
}  // namespace tally
