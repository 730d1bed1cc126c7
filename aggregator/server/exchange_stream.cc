#include "aggregator/server/exchange_stream.h"

#include <grpcpp/server_context.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "aggregator/server/frames.h"
#include "base/grpc_status.h"
#include "base/logging.h"
#include "base/status_macros.h"

namespace tally {

ExchangeStream::ExchangeStream(Dispatcher* dispatcher, grpc::CallbackServerContext* context)
    : dispatcher_(dispatcher),
      context_(context),
      id_(dispatcher->AddStream(this)),
      reader_(&dispatcher->backend(), dispatcher->payload_memory()) {
  StartRead(&incoming_);
}

void ExchangeStream::Accept(std::shared_ptr<const JobDescription> description,
                            const MemberId& member, uint64_t max_queued_bytes) {
  {
    const MutexLock lock(&mutex_);
    max_queued_bytes_ = max_queued_bytes;
  }
  reader_.Accept(std::move(description), member);
}

void ExchangeStream::OnReadDone(bool ok) {
  if (!ok) {
    // The worker has said all it had to say, or the connection is gone.
    dispatcher_->EndOfStream(id_);
    return;
  }
  const absl::Status status = TakeMessage();
  if (!status.ok()) {
    dispatcher_->Offence(id_, status);
    return;
  }
  {
    const MutexLock lock(&mutex_);
    if (closing_.has_value()) return;
    paused_ = outgoing_.size() > kMaxQueuedFrames;
    if (paused_) return;
  }
  StartRead(&incoming_);
}

absl::Status ExchangeStream::TakeMessage() {
  v1::ClientMessage message;
  TALLY_RETURN_IF_ERROR(ParseMessage(&incoming_, &message));
  TALLY_ASSIGN_OR_RETURN(WorkerMessage whole, reader_.Read(std::move(message)));
  dispatcher_->Take(id_, std::move(whole));
  return absl::OkStatus();
}

void ExchangeStream::Send(const std::vector<grpc::ByteBuffer>& frames) {
  const MutexLock lock(&mutex_);
  if (closing_.has_value()) return;
  for (const grpc::ByteBuffer& frame : frames) outgoing_bytes_ += frame.Length();
  if (max_queued_bytes_ != 0 && outgoing_bytes_ > max_queued_bytes_) {
    LogWarning(absl::StrCat("an observer left ", outgoing_bytes_,
                            " bytes lying, may leave at most ", max_queued_bytes_,
                            ": its stream is cut off"));
    closing_ = absl::ResourceExhaustedError("this observer is too slow for the run");
    return context_->TryCancel();
  }
  outgoing_.insert(outgoing_.end(), frames.begin(), frames.end());
  WriteNext();
}

void ExchangeStream::Close(const absl::Status& status) {
  const MutexLock lock(&mutex_);
  if (closing_.has_value()) return;
  closing_ = status;
  if (!status.ok()) {
    v1::ServerMessage message;
    message.mutable_refusal()->set_code(static_cast<uint32_t>(status.code()));
    message.mutable_refusal()->set_message(std::string(status.message()));
    outgoing_.push_back(EncodeMessage(message));
    outgoing_bytes_ += outgoing_.back().Length();
  }
  WriteNext();
}

void ExchangeStream::Abort() { context_->TryCancel(); }

void ExchangeStream::WriteNext() {
  if (writing_ || finished_) return;
  if (!outgoing_.empty()) {
    writing_ = true;
    StartWrite(&outgoing_.front());
  } else if (closing_.has_value()) {
    finished_ = true;
    Finish(ToGrpcStatus(*closing_));
  }
}

void ExchangeStream::OnWriteDone(bool ok) {
  bool read_on = false;
  {
    const MutexLock lock(&mutex_);
    writing_ = false;
    outgoing_bytes_ -= outgoing_.front().Length();
    outgoing_.pop_front();
    // The peer is gone: what is left cannot be said any more.
    if (!ok) {
      outgoing_.clear();
      outgoing_bytes_ = 0;
      if (!closing_.has_value()) closing_ = absl::CancelledError("the worker's connection broke");
    }
    if (paused_ && outgoing_.size() <= kMaxQueuedFrames && !closing_.has_value()) {
      paused_ = false;
      read_on = true;
    }
    WriteNext();
  }
  if (read_on) StartRead(&incoming_);
}

void ExchangeStream::OnDone() {
  dispatcher_->RemoveStream(id_);
  delete this;
}

}  // namespace tally
