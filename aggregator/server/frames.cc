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

}  // namespace

grpc::ByteBuffer EncodeMessage(const v1::ServerMessage& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

std::vector<grpc::ByteBuffer> EncodeResult(const StoredResult& result) {
  const size_t total_bytes = result.payload == nullptr ? 0 : result.payload->size();
  std::vector<grpc::ByteBuffer> frames;
  size_t offset = 0;
  do {
    const size_t size = std::min(kSliceBytes, total_bytes - offset);
    v1::ServerMessage message;
    v1::Result& head = *message.mutable_result();
    if (offset == 0) {
      head = result.message;
    } else {
      head.set_chunk(result.message.chunk());
      head.set_round(result.message.round());
      head.set_half(result.message.half());
    }
    head.mutable_slice()->set_offset_bytes(offset);
    head.mutable_slice()->set_total_bytes(total_bytes);
    if (size == 0) {
      frames.push_back(EncodeMessage(message));
    } else {
      const grpc::Slice slices[] = {grpc::Slice(FrameHead(message, size)),
                                    ShareBytes(result.payload, offset, size)};
      frames.emplace_back(slices, 2);
    }
    offset += size;
  } while (offset < total_bytes);
  return frames;
}

absl::Status ParseMessage(grpc::ByteBuffer* bytes, v1::ClientMessage* message) {
  grpc::ProtoBufferReader reader(bytes);
  return ParseFrame(&reader, message);
}

}  // namespace tally
