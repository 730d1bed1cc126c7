// The session's waits: what is due when, when a wait has been too long, and the words for it.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/session.h"

namespace tally {
namespace {

std::string DurationName(absl::Duration duration) {
  return absl::FormatDuration(absl::Floor(duration, absl::Milliseconds(1)));
}

std::string TimeName(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

}  // namespace

void Session::Tick(absl::Time now) {
  if (!failure_.ok()) return;
  CheckDeadlines(now);
  if (!failure_.ok()) return;
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    if (now >= aggregators_[a].link.retry_at()) Open(a, now);
    if (now >= aggregators_[a].link.heartbeat_at()) Send(a, HeartbeatAt(now), nullptr, now);
  }
  if (now >= settle_deadline_) {
    settle_deadline_ = absl::InfiniteFuture();
    for (size_t a = 0; a < aggregators_.size(); ++a) SettleUntold(a);
  }
  if (now >= handover_deadline_) EndHandover(now);
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    if (HandsOver(a) && now >= bequest_->next_at(a)) HandOver(a, now);
  }
  if (newcomer_.has_value()) AskForState(now);
  donor_.ForgetSilent(now - options_.aggregator_timeout);
}

absl::Time Session::NextTick() const {
  if (!failure_.ok()) return absl::InfiniteFuture();
  absl::Time next = started_ ? std::min({leave_deadline_, handover_deadline_, settle_deadline_})
                             : start_deadline_;
  if (newcomer_.has_value()) next = std::min(next, newcomer_->next_ask_at());
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    const bool may_give = HandsOver(a) && aggregators_[a].link.takes_contributions();
    if (may_give) next = std::min(next, bequest_->next_at(a));
  }
  for (const Aggregator& aggregator : aggregators_) {
    next = std::min({next, aggregator.link.retry_at(), aggregator.link.heartbeat_at(),
                     aggregator.waiting_since + options_.aggregator_timeout});
  }
  return next;
}

void Session::CheckDeadlines(absl::Time now) {
  if (!started_ && now >= start_deadline_) return Fail(StartTimeoutError(now));
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    const Aggregator& aggregator = aggregators_[a];
    if (now >= aggregator.waiting_since + options_.aggregator_timeout) {
      return Fail(AggregatorTimeoutError(a, now));
    }
    if (now >= leave_deadline_ && aggregator.link.state() != AggregatorLink::State::kEnded) {
      return Fail(absl::DeadlineExceededError(
          absl::StrCat(aggregator.link.Place(),
                       " has not ended the stream after Leave: ", LeaveReason(a, now))));
    }
  }
}

absl::Status Session::StartTimeoutError(absl::Time now) const {
  return absl::DeadlineExceededError(
      absl::StrCat("job `", options_.job, "` has not started within ",
                   DurationName(options_.start_timeout), ": ", StartReason(now)));
}

std::string Session::StartReason(absl::Time now) const {
  for (const Aggregator& aggregator : aggregators_) {
    if (aggregator.link.up()) continue;
    return absl::StrCat(aggregator.link.Place(), ": ", aggregator.link.Reason(now));
  }
  if (newcomer_.has_value()) return newcomer_->Reason();
  for (size_t chunk = 0; chunk < chunks_.size(); ++chunk) {
    if (chunks_[chunk].history.begun()) continue;
    const AggregatorLink& link = aggregators_[chunk % aggregators_.size()].link;
    return absl::StrCat(link.Place(), ": ", link.Reason(now));
  }
  return "";
}

absl::Status Session::AggregatorTimeoutError(size_t aggregator, absl::Time now) const {
  const Aggregator& state = aggregators_[aggregator];
  return absl::Status(
      state.link.up() ? absl::StatusCode::kDeadlineExceeded : absl::StatusCode::kUnavailable,
      absl::StrCat(state.link.Place(), " made no progress for ",
                   DurationName(now - state.waiting_since), ", since ",
                   TimeName(state.waiting_since), ": round ", *round_, ", chunk ",
                   FirstAwaited(aggregator), ": ", WaitReason(aggregator, now)));
}

uint32_t Session::FirstAwaited(size_t aggregator) const {
  size_t position = aggregators_[aggregator].first_missing;
  while (!ChunkAt(aggregator, position).open.has_value() &&
         !ChunkAt(aggregator, position).watching) {
    ++position;
  }
  return ChunkIndex(aggregator, position);
}

std::string Session::WaitReason(size_t aggregator, absl::Time now) const {
  // Aggregators begin with the place, which stands before this already.
  const std::string place =
      absl::StrCat("round ", *round_, ", chunk ", FirstAwaited(aggregator), ": ");
  return std::string(absl::StripPrefix(aggregators_[aggregator].link.Reason(now), place));
}

std::string Session::LeaveReason(size_t aggregator, absl::Time now) const {
  const AggregatorLink& link = aggregators_[aggregator].link;
  if (!link.up()) return link.Reason(now);
  if (HandsOver(aggregator)) return bequest_->Reason(aggregator);
  return "others may still need what this worker holds";
}

std::string Session::WaitingFor(absl::Time now) const {
  if (!failure_.ok()) return "";
  if (!started_) return StartReason(now);
  std::string reasons;
  for (size_t a = 0; leaving() && a < aggregators_.size(); ++a) {
    if (aggregators_[a].link.state() == AggregatorLink::State::kEnded) continue;
    absl::StrAppend(&reasons, reasons.empty() ? "" : "; ", "leaving `", aggregators_[a].link.name(),
                    "`: ", LeaveReason(a, now));
  }
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    if (aggregators_[a].waiting_since == absl::InfiniteFuture()) continue;
    absl::StrAppend(&reasons, reasons.empty() ? "" : "; ", "round ", *round_, ", chunk ",
                    FirstAwaited(a), " at `", aggregators_[a].link.name(), "` for ",
                    DurationName(now - aggregators_[a].waiting_since), ": ", WaitReason(a, now));
  }
  return reasons;
}

}  // namespace tally
