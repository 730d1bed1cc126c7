#include "client/incoming.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace tally {
namespace {

struct Taker {
  Session& session;
  const size_t aggregator;
  const absl::Time now;

  void operator()(CheckedResult& result) const {
    session.OnResult(aggregator, std::move(result), now);
  }
  void operator()(ReceivedSnapshot& snapshot) const {
    session.OnSnapshot(aggregator, snapshot.message, std::move(snapshot.payload), now);
  }
  void operator()(ReceivedHandover& handover) const {
    session.OnHandover(aggregator, handover.message, std::move(handover.payload), now);
  }
  void operator()(const v1::ServerMessage& message) const {
    switch (message.kind_case()) {
      case v1::ServerMessage::kWelcome:
        return session.OnWelcome(aggregator, message.welcome(), now);
      case v1::ServerMessage::kNotice:
        return session.OnNotice(aggregator, message.notice());
      case v1::ServerMessage::kRefusal:
        return session.OnRefusal(aggregator, message.refusal());
      case v1::ServerMessage::kStateRequest:
        return session.OnStateRequest(aggregator, message.state_request(), now);
      case v1::ServerMessage::kStatePart:
        return session.OnStatePart(aggregator, message.state_part(), message.payload(), now);
      case v1::ServerMessage::kHandover:
        return session.OnHeir(aggregator, message.handover(), now);
      case v1::ServerMessage::kHandoverAck:
        return session.OnHandoverAck(aggregator, message.handover_ack(), now);
      case v1::ServerMessage::kNeed:
        return session.OnNeed(aggregator, message.need(), now);
      default:
        return session.OnBadMessage(
            aggregator, absl::UnimplementedError(
                            absl::StrCat("`kind` = ", static_cast<int>(message.kind_case()),
                                         ", must be a kind of message that this build knows")));
    }
  }
};

}  // namespace

IncomingReader::IncomingReader(const Layout* layout, uint32_t roster_limit, const Backend* backend)
    : layout_(layout),
      backend_(backend),
      results_(layout, roster_limit),
      snapshots_(layout),
      handovers_(layout) {}

absl::StatusOr<absl::optional<Incoming>> IncomingReader::Read(v1::ServerMessage message) {
  absl::optional<Incoming> incoming;
  if (message.has_result()) {
    TALLY_ASSIGN_OR_RETURN(absl::optional<ReceivedResult> received,
                           results_.Take(std::move(*message.mutable_result()), message.payload()));
    if (!received.has_value()) return incoming;
    TALLY_ASSIGN_OR_RETURN(incoming, CheckResult(received->message, std::move(received->payload),
                                                 *layout_, *backend_));
  } else if (message.has_residual_snapshot()) {
    TALLY_ASSIGN_OR_RETURN(
        absl::optional<ReceivedSnapshot> received,
        snapshots_.Take(std::move(*message.mutable_residual_snapshot()), message.payload()));
    if (received.has_value()) incoming = *std::move(received);
  } else if (message.has_handover() && message.handover().has_slice()) {
    absl::optional<ReceivedHandover> received =
        handovers_.Take(std::move(*message.mutable_handover()), message.payload());
    if (received.has_value()) incoming = *std::move(received);
  } else {
    incoming = std::move(message);
  }
  return incoming;
}

void TakeIncoming(Session& session, size_t aggregator, Incoming incoming, absl::Time now) {
  absl::visit(Taker{session, aggregator, now}, incoming);
}

}  // namespace tally
