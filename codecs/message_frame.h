// The bytes of a ClientMessage or ServerMessage on the wire, written so that a payload is not
// copied.
//
//   serialized message without payload | 0x7a | length of the payload, varint | payload
//
// Field 15 of both messages is `payload` and written last (aggregation.proto), so that this is an
// ordinary serialized message to whoever reads it. A writer hands the head and the payload to the
// transport as two pieces.
#ifndef TALLY_CODECS_MESSAGE_FRAME_H_
#define TALLY_CODECS_MESSAGE_FRAME_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/io/zero_copy_stream.h"
#include "google/protobuf/message_lite.h"

namespace tally {

// Everything before the payload's first byte. `message` is a v1::ClientMessage or v1::ServerMessage
// whose own `payload` is unset. With payload_bytes = 0 the frame has no payload field, and the head
// is the whole frame.
std::string FrameHead(const google::protobuf::MessageLite& message, size_t payload_bytes);

// Reads a whole frame; the payload is copied once, into the message's `payload`.
// Returns INVALID_ARGUMENT if the bytes are not a serialized message of this type.
absl::Status ParseFrame(google::protobuf::io::ZeroCopyInputStream* frame,
                        google::protobuf::MessageLite* message);
absl::Status ParseFrame(absl::string_view frame, google::protobuf::MessageLite* message);

}  // namespace tally

#endif  // TALLY_CODECS_MESSAGE_FRAME_H_
