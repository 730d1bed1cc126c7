#include "codecs/message_frame.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

v1::ClientMessage ContributionMessage() {
  v1::ClientMessage message;
  message.mutable_contribution()->set_chunk(3);
  message.mutable_contribution()->set_round(812);
  message.mutable_contribution()->mutable_slice()->set_total_bytes(1 << 20);
  return message;
}

TEST(MessageFrameTest, HeadAndPayloadAreTheBytesThatProtobufWrites) {
  for (const size_t payload_bytes : {size_t{1}, size_t{127}, size_t{128}, size_t{512} << 10}) {
    SCOPED_TRACE(payload_bytes);
    const std::string payload(payload_bytes, '\x5a');
    v1::ClientMessage whole = ContributionMessage();
    whole.set_payload(payload);
    EXPECT_TRUE(FrameHead(ContributionMessage(), payload_bytes) + payload ==
                whole.SerializeAsString());
  }
}

TEST(MessageFrameTest, NoPayloadNoField) {
  EXPECT_EQ(FrameHead(ContributionMessage(), 0), ContributionMessage().SerializeAsString());
}

TEST(MessageFrameTest, HeadOfServerMessageIsWhatProtobufWrites) {
  v1::ServerMessage message;
  message.mutable_result()->set_header("header");
  v1::ServerMessage whole = message;
  whole.set_payload("payload");
  EXPECT_EQ(FrameHead(message, 7) + "payload", whole.SerializeAsString());
}

TEST(MessageFrameTest, ParsesItsOwnFrames) {
  const std::string frame = FrameHead(ContributionMessage(), 5) + "bytes";
  v1::ClientMessage parsed;
  ASSERT_THAT(ParseFrame(frame, &parsed), IsOk());
  EXPECT_EQ(parsed.payload(), "bytes");
  EXPECT_EQ(parsed.contribution().round(), 812u);
}

TEST(MessageFrameTest, RefusesWhatIsNoMessage) {
  const std::string frame = FrameHead(ContributionMessage(), 5) + "byte";  // one is missing
  v1::ClientMessage parsed;
  EXPECT_THAT(ParseFrame(frame, &parsed),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tally.v1.ClientMessage")));
}

}  // namespace
}  // namespace tally
