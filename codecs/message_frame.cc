#include "codecs/message_frame.h"

#include <climits>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;

static_assert(int{v1::ClientMessage::kPayloadFieldNumber} ==
                  int{v1::ServerMessage::kPayloadFieldNumber},
              "one head serves both directions");

constexpr uint32_t kPayloadTag = WireFormatLite::MakeTag(v1::ClientMessage::kPayloadFieldNumber,
                                                         WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

}  // namespace

std::string FrameHead(const google::protobuf::MessageLite& message, size_t payload_bytes) {
  std::string head = message.SerializeAsString();
  if (payload_bytes == 0) return head;
  uint8_t field[2 * 10];  // two varints
  uint8_t* end = CodedOutputStream::WriteVarint32ToArray(kPayloadTag, field);
  end = CodedOutputStream::WriteVarint64ToArray(payload_bytes, end);
  head.append(reinterpret_cast<const char*>(field), end - field);
  return head;
}

absl::Status ParseFrame(google::protobuf::io::ZeroCopyInputStream* frame,
                        google::protobuf::MessageLite* message) {
  if (message->ParseFromZeroCopyStream(frame)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("frame, must be a serialized ", std::string(message->GetTypeName())));
}

absl::Status ParseFrame(absl::string_view frame, google::protobuf::MessageLite* message) {
  if (frame.size() > INT_MAX) {
    return absl::InvalidArgumentError(
        absl::StrCat("frame of ", frame.size(), " bytes, must have at most ", INT_MAX));
  }
  google::protobuf::io::ArrayInputStream stream(frame.data(), static_cast<int>(frame.size()));
  return ParseFrame(&stream, message);
}

}  // namespace tally
