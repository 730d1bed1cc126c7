#include "client/aggregator_link.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "codecs/duration.h"
#include "codecs/limits.h"

namespace tally {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(kLongestReconnectPauseSeconds);
// Heartbeats in the time after which the aggregator holds a stream for dead: one may be lost in a
// stall of the network, and one in a stall of this process.
constexpr int kHeartbeatsPerSilenceLimit = 3;

absl::Duration SilenceLimit(const v1::Welcome& welcome) {
  if (!welcome.has_silence_limit()) return absl::InfiniteDuration();
  return DecodeDuration(welcome.silence_limit());
}

}  // namespace

std::string AggregatorLink::Place() const {
  return absl::StrCat("aggregator `", address_.name, "` (", address_.address, ")");
}

void AggregatorLink::Opened(absl::Time now) {
  state_ = State::kGreeting;
  if (down_since_ == absl::InfinitePast()) down_since_ = now;
}

absl::Status AggregatorLink::CheckVerdict(const v1::Welcome& welcome) const {
  switch (welcome.verdict()) {
    case v1::Welcome::VERDICT_MEMBER:
    case v1::Welcome::VERDICT_OBSERVER:
      return absl::OkStatus();
    case v1::Welcome::VERDICT_FENCED:
      return absl::FailedPreconditionError(
          absl::StrCat(Place(), ": this worker was evicted; incarnations up to ",
                       welcome.fence().incarnation(), " are dead"));
    case v1::Welcome::VERDICT_REPLACED:
      return absl::FailedPreconditionError(
          absl::StrCat(Place(), ": a newer process of this worker has taken over"));
    default:
      return absl::DataLossError(
          absl::StrCat(Place(), ": `welcome.verdict` = ", static_cast<int>(welcome.verdict()),
                       ", must be one that this build knows"));
  }
}

absl::Status AggregatorLink::Welcomed(const v1::Welcome& welcome) {
  if (state_ != State::kGreeting) {
    return absl::DataLossError(
        absl::StrCat(Place(), ": `welcome` must come once, in answer to Hello"));
  }
  if (welcome.aggregator() != address_.name) {
    return absl::DataLossError(absl::StrCat(
        Place(), ": `welcome.aggregator` = ", welcome.aggregator(), ", must be ", address_.name));
  }
  TALLY_RETURN_IF_ERROR(CheckVerdict(welcome));
  if (welcome.window_chunks() == 0 || SilenceLimit(welcome) <= absl::ZeroDuration()) {
    return absl::DataLossError(
        absl::StrCat(Place(), ": `welcome.window_chunks` = ", welcome.window_chunks(),
                     " and `welcome.silence_limit` = ", absl::FormatDuration(SilenceLimit(welcome)),
                     ", must both be positive"));
  }
  if (welcomed_before_) ++reconnects_;
  welcomed_before_ = true;
  recovering_ = welcome.recovering();
  observes_ = welcome.verdict() == v1::Welcome::VERDICT_OBSERVER;
  window_chunks_ = welcome.window_chunks();
  heartbeat_interval_ =
      std::min(heartbeat_interval_, SilenceLimit(welcome) / kHeartbeatsPerSilenceLimit);
  state_ = State::kUp;
  next_pause_ = absl::ZeroDuration();
  down_since_ = absl::InfinitePast();
  lost_ = absl::OkStatus();
  reason_.clear();
  return absl::OkStatus();
}

void AggregatorLink::Lost(const absl::Status& status, absl::Time now) {
  if (state_ == State::kEnded) return;
  lost_ = status.ok() ? absl::UnavailableError("it ended the stream") : status;
  if (state_ == State::kUp) down_since_ = now;
  next_pause_ = std::clamp(2 * next_pause_, kFirstPause, kLongestPause);
  retry_at_ = now + next_pause_;
  state_ = State::kDown;
}

void AggregatorLink::Noticed(const v1::Notice& notice) {
  reason_ = notice.reason();
  if (notice.draining()) {
    reason_ = absl::StrCat("it is draining", reason_.empty() ? "" : "; ", reason_);
  }
}

absl::Time AggregatorLink::retry_at() const {
  return state_ == State::kDown ? retry_at_ : absl::InfiniteFuture();
}

absl::Time AggregatorLink::heartbeat_at() const {
  return up() ? last_sent_ + heartbeat_interval_ : absl::InfiniteFuture();
}

std::string AggregatorLink::Reason(absl::Time now) const {
  if (up() && !reason_.empty()) return reason_;
  if (up()) return recovering_ ? "it was restarted and recovers" : "no word from it";
  const std::string down_for =
      down_since_ == absl::InfinitePast()
          ? ""
          : absl::StrCat(" for ", absl::FormatDuration(
                                      absl::Floor(now - down_since_, absl::Milliseconds(1))));
  if (lost_.ok()) return absl::StrCat("it has not answered", down_for);
  return absl::StrCat("it cannot be reached", down_for, " (", lost_.message(), ")");
}

}  // namespace tally
