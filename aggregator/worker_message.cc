#include "aggregator/worker_message.h"

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "codecs/limits.h"

namespace tally {
namespace {

WorkerMessage SignOfLife() {
  v1::ClientMessage message;
  message.mutable_heartbeat();
  return message;
}

struct Taker {
  Engine& engine;
  const StreamId stream;
  const absl::Time now;

  Actions operator()(StagedContribution& contribution) const {
    return engine.HandleContribution(stream, std::move(contribution), now);
  }
  Actions operator()(Replayed& piece) const {
    return engine.HandleReplay(stream, std::move(piece), now);
  }
  Actions operator()(v1::ClientMessage& message) const {
    switch (message.kind_case()) {
      case v1::ClientMessage::kHello:
        return engine.HandleHello(stream, message.hello(), now);
      case v1::ClientMessage::kResidualSnapshotAck:
        return engine.HandleSnapshotAck(stream, message.residual_snapshot_ack(), now);
      case v1::ClientMessage::kHeartbeat:
        return engine.HandleHeartbeat(stream, message.heartbeat(), now);
      case v1::ClientMessage::kLeave:
        return engine.HandleLeave(stream, message.leave(), now);
      case v1::ClientMessage::kHandover:
        return engine.HandleHandover(stream, std::move(*message.mutable_handover()),
                                     std::move(*message.mutable_payload()), now);
      case v1::ClientMessage::kHandoverAck:
        return engine.HandleHandoverAck(stream, message.handover_ack(), now);
      case v1::ClientMessage::kActivate:
        return engine.HandleActivate(stream, message.activate(), now);
      case v1::ClientMessage::kStateRequest:
        return engine.HandleStateRequest(stream, message.state_request(), now);
      case v1::ClientMessage::kStatePart:
        return engine.HandleStatePart(stream, std::move(*message.mutable_state_part()),
                                      std::move(*message.mutable_payload()), now);
      default:
        TALLY_CHECK(false, "WorkerMessageReader reads the rest");
    }
    return {};
  }
};

}  // namespace

void WorkerMessageReader::Accept(std::shared_ptr<const JobDescription> description,
                                 const MemberId& member) {
  contributions_.emplace(description, member, backend_, payload_memory_);
  replays_.emplace(std::move(description), member, backend_);
}

absl::StatusOr<WorkerMessage> WorkerMessageReader::Read(v1::ClientMessage message) {
  if (message.payload().size() > kMaxSliceBytes) {
    return absl::InvalidArgumentError(absl::StrCat("`payload` has ", message.payload().size(),
                                                   " bytes, must have at most ", kMaxSliceBytes));
  }
  if (!greeted_ && !message.has_hello()) {
    return absl::InvalidArgumentError("`kind` must be `hello` in the first message of a stream");
  }
  if (greeted_ && message.has_hello()) {
    return absl::InvalidArgumentError("`kind` = `hello`, must come once, first");
  }
  greeted_ = true;
  if (message.kind_case() == v1::ClientMessage::KIND_NOT_SET) {
    return absl::InvalidArgumentError("`kind` must be set to a kind of message known here");
  }
  if (message.has_contribution()) {
    if (!contributions_.has_value()) return SignOfLife();
    const auto* const piece = reinterpret_cast<const uint8_t*>(message.payload().data());
    TALLY_ASSIGN_OR_RETURN(absl::optional<StagedContribution> contribution,
                           contributions_->Read(message.contribution(),
                                                absl::MakeSpan(piece, message.payload().size())));
    if (!contribution.has_value()) return SignOfLife();
    return *std::move(contribution);
  }
  if (message.has_replay() || message.has_residual_snapshot()) {
    if (!replays_.has_value()) return SignOfLife();
    TALLY_ASSIGN_OR_RETURN(absl::optional<Replayed> piece, replays_->Read(message));
    if (!piece.has_value()) return SignOfLife();
    return *std::move(piece);
  }
  return message;
}

Actions TakeWorkerMessage(Engine& engine, StreamId stream, WorkerMessage message, absl::Time now) {
  return absl::visit(Taker{engine, stream, now}, message);
}

}  // namespace tally
