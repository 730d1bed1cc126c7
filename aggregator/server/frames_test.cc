#include "aggregator/server/frames.h"

#include <grpcpp/support/slice.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

std::shared_ptr<const Buffer> PayloadOf(size_t num_bytes) {
  auto payload = std::make_shared<Buffer>(num_bytes);
  for (size_t i = 0; i < num_bytes; ++i) payload->data()[i] = static_cast<uint8_t>(i * 7 / 5);
  return payload;
}

StoredResult ResultOf(SharedBuffer payload) {
  StoredResult result;
  result.place.round = 9;
  result.message.set_chunk(3);
  result.message.set_round(9);
  result.message.set_header("header");
  result.message.mutable_advice()->set_wait_us(5);
  result.payload = std::move(payload);
  return result;
}

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

v1::ServerMessage Parse(const grpc::ByteBuffer& buffer) {
  v1::ServerMessage message;
  EXPECT_TRUE(message.ParseFromString(BytesOf(buffer)));
  return message;
}

TEST(FramesTest, AResultIsCutIntoSlicesThatJoinToItsPayload) {
  for (const size_t num_bytes :
       {size_t{1}, kSliceBytes - 1, kSliceBytes, kSliceBytes + 1, 3 * kSliceBytes + 17}) {
    SCOPED_TRACE(num_bytes);
    const auto payload = PayloadOf(num_bytes);
    const std::vector<grpc::ByteBuffer> frames = EncodeResult(ResultOf(payload));
    EXPECT_THAT(frames, SizeIs((num_bytes + kSliceBytes - 1) / kSliceBytes));
    std::string joined;
    for (const grpc::ByteBuffer& frame : frames) {
      const v1::ServerMessage message = Parse(frame);
      EXPECT_EQ(message.result().chunk(), 3u);
      EXPECT_EQ(message.result().round(), 9u);
      EXPECT_EQ(message.result().slice().offset_bytes(), joined.size());
      EXPECT_EQ(message.result().slice().total_bytes(), num_bytes);
      EXPECT_EQ(message.result().header(), joined.empty() ? "header" : "");
      EXPECT_EQ(message.result().has_advice(), joined.empty());
      EXPECT_LE(message.payload().size(), kMaxSliceBytes);
      joined += message.payload();
    }
    EXPECT_EQ(joined, std::string(payload->bytes().begin(), payload->bytes().end()));
  }
}

TEST(FramesTest, AResultWithoutPayloadIsOneFrame) {
  const std::vector<grpc::ByteBuffer> frames = EncodeResult(ResultOf(nullptr));
  ASSERT_THAT(frames, SizeIs(1));
  const v1::ServerMessage message = Parse(frames[0]);
  EXPECT_EQ(message.result().header(), "header");
  EXPECT_EQ(message.result().slice().total_bytes(), 0u);
  EXPECT_TRUE(message.payload().empty());
}

TEST(FramesTest, FramesShareThePayloadsBytesAndKeepThemAlive) {
  auto payload = PayloadOf(kSliceBytes + 1);
  const uint8_t* const data = payload->data();
  const std::weak_ptr<const Buffer> watch = payload;
  std::vector<grpc::ByteBuffer> frames = EncodeResult(ResultOf(std::move(payload)));
  EXPECT_FALSE(watch.expired());
  {
    std::vector<grpc::Slice> slices;
    ASSERT_TRUE(frames[1].Dump(&slices).ok());
    ASSERT_THAT(slices, SizeIs(2));
    EXPECT_EQ(slices[0].begin() == nullptr ? nullptr : slices[1].begin(), data + kSliceBytes);
  }
  frames.clear();
  EXPECT_TRUE(watch.expired());
}

TEST(FramesTest, ParsesAMessageThatComesInPieces) {
  v1::ClientMessage sent;
  sent.mutable_contribution()->set_round(4);
  sent.set_payload(std::string(1000, 'x'));
  const std::string bytes = sent.SerializeAsString();
  const grpc::Slice slices[] = {grpc::Slice(bytes.substr(0, 3)), grpc::Slice(bytes.substr(3))};
  grpc::ByteBuffer buffer(slices, 2);
  v1::ClientMessage received;
  ASSERT_THAT(ParseMessage(&buffer, &received), IsOk());
  EXPECT_EQ(received.contribution().round(), 4u);
  EXPECT_EQ(received.payload(), sent.payload());
}

TEST(FramesTest, RefusesBytesThatAreNoMessage) {
  for (const std::string bytes : {"garbage", "\xff\xff\xff\xff", "\x0a\x7f"}) {
    const grpc::Slice slice(bytes);
    grpc::ByteBuffer buffer(&slice, 1);
    v1::ClientMessage message;
    EXPECT_THAT(ParseMessage(&buffer, &message),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("must be a serialized tally.v1.ClientMessage")));
  }
}

}  // namespace
}  // namespace tally
