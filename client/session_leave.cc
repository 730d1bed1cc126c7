// How a session takes leave of its run, and what is handed over when a worker does.
#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "client/session.h"
#include "codecs/duration.h"

namespace tally {

absl::Status Session::Leave(absl::Span<const float> residual, absl::Time now) {
  TALLY_RETURN_IF_ERROR(CheckUsable());
  if (missing_results_ > 0) return MissingResultsError();
  leave_deadline_ = now + options_.aggregator_timeout;
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    aggregators_[a].leaves_as_member = aggregators_[a].num_chunks == 0 || IsMemberAt(a);
  }
  if (!residual.empty()) {
    bequest_.emplace(*options_.layout, aggregators_.size(), identity_.member, residual);
    // What came since the caller asked last goes on to the next heir.
    for (const Inheritance& inheritance : inheritances_.Take()) bequest_->Add(inheritance);
    for (size_t a = 0; a < aggregators_.size(); ++a) {
      // No header will name the heir of an observer.
      if (!IsMemberAt(a)) bequest_->GiveUp(a);
      if (HandsOver(a)) handover_deadline_ = now + options_.handover_timeout;
    }
    if (handover_deadline_ != absl::InfiniteFuture()) leave_deadline_ += options_.handover_timeout;
  }
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    if (aggregators_[a].link.takes_contributions()) SendLeave(a, now);
  }
  EndIfLeft();
  return absl::OkStatus();
}

void Session::SendLeave(size_t aggregator, absl::Time now) {
  v1::ClientMessage message;
  message.mutable_leave()->set_last_round(next_round_ - 1);
  if (HandsOver(aggregator)) {
    *message.mutable_leave()->mutable_deadline() = EncodeDuration(handover_deadline_ - now);
  }
  Send(aggregator, std::move(message), nullptr, now);
}

void Session::WelcomeLeaver(size_t aggregator, absl::Time now) {
  if (!aggregators_[aggregator].link.takes_contributions()) return;
  SendLeave(aggregator, now);
  if (!HandsOver(aggregator)) return;
  bequest_->Restart(aggregator);
  HandOver(aggregator, now);
}

void Session::TakeFarewell(size_t aggregator, const CheckedResult& result, absl::Time now) {
  Chunk& chunk = chunks_[result.header.chunk()];
  if (chunk.history.roster().Has(identity_.member)) {
    const absl::StatusOr<ChunkHistory::Applied> applied = chunk.history.Apply(result);
    // A leaver that was away may have lost track: then a note tells it who inherits.
    if (!applied.ok() || applied->duplicate) return;
    Archive(*applied, result);
  }
  if (!HandsOver(aggregator)) return;
  bequest_->Read(result.header, result.chain);
  HandOver(aggregator, now);
}

void Session::HandOver(size_t aggregator, absl::Time now) {
  // Its Leave comes first.
  if (!aggregators_[aggregator].link.takes_contributions()) return;
  if (bequest_->done(aggregator)) return SendLeave(aggregator, now);
  absl::optional<Bequest::Gift> gift = bequest_->Next(aggregator, now);
  if (!gift.has_value()) return;
  v1::ClientMessage message;
  *message.mutable_handover() = std::move(gift->message);
  Send(aggregator, std::move(message), std::move(gift->payload), now);
}

void Session::EndHandover(absl::Time now) {
  handover_deadline_ = absl::InfiniteFuture();
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    if (!HandsOver(a)) continue;
    bequest_->GiveUp(a);
    HandOver(a, now);
  }
}

void Session::OnHandoverAck(size_t aggregator, const v1::HandoverAck& ack, absl::Time now) {
  const bool is_own = ack.leaver().worker() == identity_.member.worker &&
                      ack.leaver().incarnation() == identity_.member.incarnation;
  if (!failure_.ok() || IsCut(aggregator) || !HandsOver(aggregator) || !is_own ||
      ack.chunk() % aggregators_.size() != aggregator) {
    return;
  }
  bequest_->Acknowledge(ack);
  HandOver(aggregator, now);
}

void Session::OnHeir(size_t aggregator, const v1::Handover& note, absl::Time now) {
  if (!failure_.ok() || IsCut(aggregator) || !HandsOver(aggregator) ||
      note.chunk() % aggregators_.size() != aggregator) {
    return;
  }
  bequest_->Read(note);
  HandOver(aggregator, now);
}

void Session::OnHandover(size_t aggregator, const v1::Handover& handover, SharedBuffer payload,
                         absl::Time now) {
  if (!failure_.ok() || leaving() || evicted() || IsCut(aggregator)) return;
  if (!inheritances_.Receive(handover, std::move(payload))) return;
  v1::ClientMessage message;
  v1::HandoverAck& ack = *message.mutable_handover_ack();
  ack.set_chunk(handover.chunk());
  *ack.mutable_leaver() = handover.leaver();
  Send(aggregator, std::move(message), nullptr, now);
}

void Session::EndIfLeft() {
  for (const Aggregator& aggregator : aggregators_) {
    if (aggregator.link.state() != AggregatorLink::State::kEnded) return;
  }
  failure_ = absl::FailedPreconditionError("this worker has left the run");
  actions_.emplace_back(RunLeft{});
}

}  // namespace tally
