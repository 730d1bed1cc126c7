// How a session takes leave of its run.
#include <algorithm>

#include "base/status_macros.h"
#include "client/session.h"

namespace tally {
namespace {

// How long aggregators may take to end their streams after Leave: longer than they need to evict a
// dead worker, for whom they would wait.
constexpr absl::Duration kLeaveTimeout = absl::Minutes(1);

}  // namespace

absl::Status Session::Leave(absl::Time now) {
  TALLY_RETURN_IF_ERROR(CheckUsable());
  if (missing_results_ > 0) return MissingResultsError();
  leave_deadline_ = now + std::min(kLeaveTimeout, options_.aggregator_timeout);
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    if (aggregators_[a].link.takes_contributions()) SendLeave(a, now);
  }
  EndIfLeft();
  return absl::OkStatus();
}

void Session::SendLeave(size_t aggregator, absl::Time now) {
  v1::ClientMessage message;
  message.mutable_leave()->set_last_round(next_round_ - 1);
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
