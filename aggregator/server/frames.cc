#include "aggregator/server/frames.h"

#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <memory>
#include <string>

#include "codecs/limits.h"
#include "codecs/message_frame.h"

namespace tally {
namespace {

// A slice of somebody else's payload, which lives as long as the slice.
grpc::Slice ShareBytes(const SharedBuffer& payload, size_t offset, size_t size) {
  auto* owner = new SharedBuffer(payload);
  // gRPC takes a mutable pointer, but never writes through it.
  auto* data = const_cast<uint8_t*>(payload->data()) + offset;
  return grpc::Slice(
      data, size, [](void* shared) { delete static_cast<SharedBuffer*>(shared); }, owner);
}

v1::Slice* SliceOf(v1::ServerMessage& message) {
  return message.has_result() ? message.mutable_result()->mutable_slice()
                              : message.mutable_residual_snapshot()->mutable_slice();
}

// Cuts a payload up; `make_head` gives the message of the first slice, or of a further one.
template <typename MakeHead>
std::vector<grpc::ByteBuffer> EncodeSlices(const SharedBuffer& payload, MakeHead make_head) {
  const size_t total_bytes = payload == nullptr ? 0 : payload->size();
  std::vector<grpc::ByteBuffer> frames;
  size_t offset = 0;
  do {
    const size_t size = std::min(kSliceBytes, total_bytes - offset);
    v1::ServerMessage message = make_head(/*is_first=*/offset == 0);
    SliceOf(message)->set_offset_bytes(offset);
    SliceOf(message)->set_total_bytes(total_bytes);
    if (size == 0) {
      frames.push_back(EncodeMessage(message));
    } else {
      const grpc::Slice slices[] = {grpc::Slice(FrameHead(message, size)),
                                    ShareBytes(payload, offset, size)};
      frames.emplace_back(slices, 2);
    }
    offset += size;
  } while (offset < total_bytes);
  return frames;
}

}  // namespace

grpc::ByteBuffer EncodeMessage(const v1::ServerMessage& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

std::vector<grpc::ByteBuffer> EncodeResult(const StoredResult& result) {
  return EncodeSlices(result.payload, [&result](bool is_first) {
    v1::ServerMessage message;
    v1::Result& head = *message.mutable_result();
    if (is_first) {
      head = result.message;
    } else {
      head.set_chunk(result.message.chunk());
      head.set_round(result.message.round());
      head.set_half(result.message.half());
    }
    return message;
  });
}

std::vector<grpc::ByteBuffer> EncodeSnapshot(const ResidualSnapshot& snapshot) {
  return EncodeSlices(snapshot.payload, [&snapshot](bool is_first) {
    v1::ServerMessage message;
    v1::ResidualSnapshot& head = *message.mutable_residual_snapshot();
    head.set_chunk(snapshot.chunk);
    head.set_round(snapshot.place.round);
    head.set_half(snapshot.place.half);
    if (!is_first) return message;
    head.set_chain(snapshot.chain);
    head.set_payload_digest(snapshot.payload_digest);
    return message;
  });
}

absl::Status ParseMessage(grpc::ByteBuffer* bytes, v1::ClientMessage* message) {
  grpc::ProtoBufferReader reader(bytes);
  return ParseFrame(&reader, message);
}

}  // namespace tally
