#include "bench/load_stream.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/slice.h>

#include <utility>

#include "base/grpc_status.h"
#include "codecs/message_frame.h"

namespace tally {

void LoadStream::Open(const std::string& address, const std::string& method) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  // A connection of its own, as a worker process has it.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  stub_ = std::make_unique<grpc::GenericStub>(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  stub_->PrepareBidiStreamingCall(&context_, method, grpc::StubOptions(), this);
  // Writes and the end come from other threads than the reactions.
  AddHold();
  StartRead(&incoming_);
  StartCall();
}

void LoadStream::Queue(std::vector<grpc::ByteBuffer> frames) {
  const MutexLock lock(&mutex_);
  for (grpc::ByteBuffer& frame : frames) outgoing_.push_back(std::move(frame));
  WriteNext();
}

void LoadStream::End() {
  const MutexLock lock(&mutex_);
  ending_ = true;
  WriteNext();
}

void LoadStream::WriteNext() {
  if (writing_) return;
  if (!outgoing_.empty()) {
    writing_ = true;
    StartWrite(&outgoing_.front());
  } else if (ending_) {
    writing_ = true;  // Nothing follows.
    StartWritesDone();
    RemoveHold();
  }
}

absl::Status LoadStream::Wait() {
  const MutexLock lock(&mutex_);
  while (!done_) done_or_not_.Wait(&mutex_);
  return status_;
}

void LoadStream::OnReadDone(bool ok) {
  if (!ok) {
    End();
    return;
  }
  OnMessage(incoming_);
  StartRead(&incoming_);
}

void LoadStream::OnWriteDone(bool ok) {
  const MutexLock lock(&mutex_);
  writing_ = false;
  outgoing_.pop_front();
  if (!ok) outgoing_.clear();
  WriteNext();
}

void LoadStream::OnDone(const grpc::Status& status) {
  const MutexLock lock(&mutex_);
  done_ = true;
  status_ = FromGrpcStatus(status);
  done_or_not_.NotifyAll();
}

grpc::ByteBuffer FrameWithPayload(const google::protobuf::MessageLite& message,
                                  const SharedBuffer& payload, size_t offset, size_t size) {
  auto* owner = new SharedBuffer(payload);
  auto* data = const_cast<uint8_t*>(payload->data()) + offset;
  const grpc::Slice slices[] = {
      grpc::Slice(FrameHead(message, size)),
      grpc::Slice(
          data, size, [](void* shared) { delete static_cast<SharedBuffer*>(shared); }, owner)};
  return grpc::ByteBuffer(slices, 2);
}

}  // namespace tally
