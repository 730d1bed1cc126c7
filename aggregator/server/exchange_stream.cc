#include "aggregator/server/exchange_stream.h"

#include <grpcpp/server_context.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "aggregator/server/frames.h"
#include "base/grpc_status.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "codecs/limits.h"

namespace tally {

ExchangeStream::ExchangeStream(Dispatcher* dispatcher, grpc::CallbackServerContext* context)
    : dispatcher_(dispatcher), context_(context), id_(dispatcher->AddStream(this)) {
  StartRead(&incoming_);
}

void ExchangeStream::Accept(std::shared_ptr<const JobDescription> description,
                            const MemberId& member, uint64_t max_queued_bytes) {
  {
    const MutexLock lock(&mutex_);
    max_queued_bytes_ = max_queued_bytes;
  }
  reader_ = std::make_unique<ContributionReader>(description, member, &dispatcher_->backend(),
                                                 dispatcher_->payload_memory());
  replays_ =
      std::make_unique<ReplayReader>(std::move(description), member, &dispatcher_->backend());
}

void ExchangeStream::OnReadDone(bool ok) {
  if (!ok) {
    // The worker has said all it had to say, or the connection is gone.
    dispatcher_->EndOfStream(id_);
    return;
  }
  const absl::Status status = HandleMessage();
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

absl::Status ExchangeStream::HandleMessage() {
  v1::ClientMessage message;
  TALLY_RETURN_IF_ERROR(ParseMessage(&incoming_, &message));
  if (message.payload().size() > kMaxSliceBytes) {
    return absl::InvalidArgumentError(absl::StrCat("`payload` has ", message.payload().size(),
                                                   " bytes, must have at most ", kMaxSliceBytes));
  }
  if (!greeted_) {
    if (!message.has_hello()) {
      return absl::InvalidArgumentError("`kind` must be `hello` in the first message of a stream");
    }
    greeted_ = true;
    dispatcher_->Hello(id_, message.hello());
    return absl::OkStatus();
  }
  switch (message.kind_case()) {
    case v1::ClientMessage::kContribution:
      return HandleContribution(message);
    case v1::ClientMessage::kReplay:
    case v1::ClientMessage::kResidualSnapshot:
      return HandleReplay(message);
    case v1::ClientMessage::kResidualSnapshotAck:
      dispatcher_->SnapshotAck(id_, message.residual_snapshot_ack());
      return absl::OkStatus();
    case v1::ClientMessage::kHeartbeat:
      dispatcher_->Heartbeat(id_, message.heartbeat());
      return absl::OkStatus();
    case v1::ClientMessage::kLeave:
      dispatcher_->Leave(id_, message.leave());
      return absl::OkStatus();
    case v1::ClientMessage::kHandover:
      dispatcher_->Handover(id_, std::move(*message.mutable_handover()),
                            std::move(*message.mutable_payload()));
      return absl::OkStatus();
    case v1::ClientMessage::kHandoverAck:
      dispatcher_->HandoverAck(id_, message.handover_ack());
      return absl::OkStatus();
    case v1::ClientMessage::kActivate:
      dispatcher_->Activate(id_, message.activate());
      return absl::OkStatus();
    case v1::ClientMessage::kStateRequest:
      dispatcher_->StateRequest(id_, message.state_request());
      return absl::OkStatus();
    case v1::ClientMessage::kStatePart:
      dispatcher_->StatePart(id_, std::move(*message.mutable_state_part()),
                             std::move(*message.mutable_payload()));
      return absl::OkStatus();
    case v1::ClientMessage::kHello:
      return absl::InvalidArgumentError("`kind` = `hello`, must come once, first");
    case v1::ClientMessage::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("`kind` must be set to a kind of message known here");
}

absl::Status ExchangeStream::HandleContribution(const v1::ClientMessage& message) {
  // A stream that was refused has no reader; its end is on the way.
  if (reader_ == nullptr) return absl::OkStatus();
  const auto* const piece = reinterpret_cast<const uint8_t*>(message.payload().data());
  TALLY_ASSIGN_OR_RETURN(
      absl::optional<StagedContribution> contribution,
      reader_->Read(message.contribution(), absl::MakeSpan(piece, message.payload().size())));
  if (contribution.has_value()) {
    dispatcher_->Contribution(id_, *std::move(contribution));
  } else {
    // A worker on a slow link is busy for long with one contribution, not silent.
    dispatcher_->Heartbeat(id_, {});
  }
  return absl::OkStatus();
}

absl::Status ExchangeStream::HandleReplay(v1::ClientMessage& message) {
  if (replays_ == nullptr) return absl::OkStatus();
  TALLY_ASSIGN_OR_RETURN(absl::optional<Replayed> piece, replays_->Read(message));
  if (piece.has_value()) {
    dispatcher_->Replay(id_, *std::move(piece));
  } else {
    dispatcher_->Heartbeat(id_, {});
  }
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
