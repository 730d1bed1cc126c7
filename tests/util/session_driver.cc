#include "tests/util/session_driver.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/digest.h"

namespace tally {

std::string SessionDriver::Line(const SessionAction& action) {
  if (const auto* open = absl::get_if<OpenStream>(&action)) {
    return absl::StrCat("open ", open->aggregator);
  }
  if (const auto* result = absl::get_if<DeliverResult>(&action)) {
    return absl::StrCat("result ", result->result.chunk,
                        result->result.counted ? " counted" : " missed");
  }
  if (absl::holds_alternative<RunStarted>(action)) return "started";
  if (const auto* cut = absl::get_if<CutStream>(&action)) {
    return absl::StrCat("cut ", cut->aggregator);
  }
  if (absl::holds_alternative<RunLeft>(action)) return "left";
  if (absl::holds_alternative<SessionFailed>(action)) return "failed";
  const auto& sent = absl::get<SendMessage>(action);
  switch (sent.message.kind_case()) {
    case v1::ClientMessage::kHello:
      hello_ = sent.message.hello();
      return absl::StrCat("hello ", sent.aggregator);
    case v1::ClientMessage::kContribution:
      contribution_ = sent.message.contribution();
      return absl::StrCat(contribution_.abstain() ? "abstain" : "send", " chunk ",
                          contribution_.chunk(), " to ", sent.aggregator);
    case v1::ClientMessage::kHeartbeat:
      heartbeat_ = sent.message.heartbeat();
      return absl::StrCat("heartbeat ", sent.aggregator);
    case v1::ClientMessage::kLeave:
      leave_ = sent.message.leave();
      return absl::StrCat("leave ", sent.aggregator);
    case v1::ClientMessage::kHandover:
      handover_ = sent.message.handover();
      return absl::StrCat("hand chunk ", handover_.chunk(), " to ", handover_.heir(), " by ",
                          sent.aggregator);
    case v1::ClientMessage::kHandoverAck:
      return absl::StrCat("take chunk ", sent.message.handover_ack().chunk(), " of ",
                          sent.message.handover_ack().leaver().worker());
    case v1::ClientMessage::kActivate:
      return absl::StrCat("activate ", sent.message.activate().round(), " at ", sent.aggregator);
    case v1::ClientMessage::kStateRequest:
      state_request_ = sent.message.state_request();
      return absl::StrCat("ask ", sent.aggregator);
    case v1::ClientMessage::kStatePart:
      state_part_ = sent.message.state_part();
      return absl::StrCat("give ", sent.message.payload(), " to ", sent.aggregator);
    default:
      return "unexpected";
  }
}

std::vector<std::string> SessionDriver::Take() {
  std::vector<std::string> lines;
  for (const SessionAction& action : session_.TakeActions()) lines.push_back(Line(action));
  return lines;
}

void SessionDriver::Advance(absl::Duration duration) {
  const absl::Time end = now_ + duration;
  while (session_.NextTick() < end) {
    now_ = std::max(now_, session_.NextTick());
    Tick();
  }
  now_ = end;
  Tick();
}

void SessionDriver::Welcome(size_t aggregator, uint32_t window_chunks, uint64_t instance) {
  session_.OnWelcome(aggregator,
                     WelcomeFrom(options_.aggregators[aggregator].name, window_chunks, instance),
                     now_);
}

void SessionDriver::WelcomeAsObserver(size_t aggregator, absl::optional<uint64_t> head_round) {
  v1::Welcome welcome = WelcomeFrom(options_.aggregators[aggregator].name);
  welcome.set_verdict(v1::Welcome::VERDICT_OBSERVER);
  const size_t num_chunks = options_.layout->chunks().size();
  for (size_t c = aggregator; c < num_chunks; c += options_.aggregators.size()) {
    v1::Welcome::ChunkState& chunk = *welcome.add_chunks();
    chunk.set_chunk(static_cast<uint32_t>(c));
    if (head_round.has_value()) chunk.mutable_head()->set_round(*head_round);
  }
  session_.OnWelcome(aggregator, welcome, now_);
}

void SessionDriver::Result(const v1::ResultHeader& header) {
  session_.OnResult(header.chunk() % options_.aggregators.size(), results_.Checked(header), now_);
}

void SessionDriver::Start(uint32_t window_chunks) {
  Tick();
  for (size_t a = 0; a < options_.aggregators.size(); ++a) Welcome(a, window_chunks);
  for (uint32_t c = 0; c < options_.layout->chunks().size(); ++c) Genesis(c);
  Take();
}

void SessionDriver::Lose(size_t aggregator, const absl::Status& status) {
  session_.OnStreamLost(aggregator, status, now_);
}

void SessionDriver::Notice(size_t aggregator, const std::string& reason) {
  v1::Notice notice;
  notice.set_reason(reason);
  session_.OnNotice(aggregator, notice);
}

Exchange SessionDriver::ExchangeOf(uint32_t chunk) const {
  if (options_.layout->chunks()[chunk].dense) return {DenseExchange{}};
  return {SignExchange{ScaleRule::kRootMeanSquare, {ScaleGranularity::Unit::kBlock, 256}}};
}

absl::Status SessionDriver::Contribute(uint32_t chunk) {
  const Exchange exchange = ExchangeOf(chunk);
  SharedBuffer payload = ZeroPayload(exchange, *options_.layout, chunk);
  v1::Contribution contribution;
  *contribution.mutable_exchange() = EncodeExchange(exchange);
  contribution.set_payload_digest(Digest64(payload->bytes()));
  return session_.Contribute(chunk, std::move(contribution), std::move(payload), now_);
}

absl::Status SessionDriver::Abstain(uint32_t chunk) {
  v1::Contribution contribution;
  *contribution.mutable_exchange() = EncodeExchange(ExchangeOf(chunk));
  contribution.set_abstain(true);
  return session_.Contribute(chunk, std::move(contribution), nullptr, now_);
}

}  // namespace tally
