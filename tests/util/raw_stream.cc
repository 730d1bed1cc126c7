#include "tests/util/raw_stream.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/slice.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/grpc_status.h"

namespace tally {
namespace {

constexpr std::chrono::minutes kDeadline(1);

}  // namespace

RawStream::RawStream(int port, const std::string& method) {
  grpc::ChannelArguments arguments;
  // Streams of different workers share no connection, as in life.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  stub_ = std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(
      absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials(), arguments));
  context_.set_wait_for_ready(true);
  context_.set_deadline(std::chrono::system_clock::now() + kDeadline);
  stub_->PrepareBidiStreamingCall(&context_, method, grpc::StubOptions(), this);
  // Steps are started from outside of reactions.
  AddHold();
  StartCall();
}

RawStream::~RawStream() {
  Cancel();
  Finish().IgnoreError();
}

bool RawStream::Send(const v1::ClientMessage& message) {
  return SendBytes(message.SerializeAsString());
}

bool RawStream::SendBytes(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  outgoing_ = grpc::ByteBuffer(&slice, 1);
  StartWrite(&outgoing_);
  return Wait(&write_);
}

void RawStream::CloseSending() {
  StartWritesDone();
  Wait(&write_);
}

absl::optional<v1::ServerMessage> RawStream::Receive() {
  const absl::optional<std::string> bytes = ReceiveBytes();
  if (!bytes.has_value()) return absl::nullopt;
  v1::ServerMessage message;
  TALLY_CHECK(message.ParseFromString(*bytes), "an aggregator sends ServerMessages");
  return message;
}

absl::optional<std::string> RawStream::ReceiveBytes() {
  StartRead(&incoming_);
  if (!Wait(&read_)) return absl::nullopt;
  grpc::Slice slice;
  TALLY_CHECK(incoming_.DumpToSingleSlice(&slice).ok(), "what was received can be read");
  return std::string(reinterpret_cast<const char*>(slice.begin()), slice.size());
}

absl::Status RawStream::Finish() {
  if (held_) {
    while (ReceiveBytes().has_value()) {
    }
    held_ = false;
    RemoveHold();
  }
  const MutexLock lock(&mutex_);
  while (!ended_.has_value()) step_done_.Wait(&mutex_);
  return *ended_;
}

void RawStream::Cancel() { context_.TryCancel(); }

void RawStream::OnDone(const grpc::Status& status) {
  const MutexLock lock(&mutex_);
  ended_ = FromGrpcStatus(status);
  step_done_.NotifyAll();
}

void RawStream::Done(absl::optional<bool>* step, bool ok) {
  const MutexLock lock(&mutex_);
  *step = ok;
  step_done_.NotifyAll();
}

bool RawStream::Wait(absl::optional<bool>* step) {
  const MutexLock lock(&mutex_);
  while (!step->has_value()) step_done_.Wait(&mutex_);
  const bool ok = **step;
  step->reset();
  return ok;
}

}  // namespace tally
