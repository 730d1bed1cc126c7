#include "client/session.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "codecs/duration.h"
#include "codecs/layout_codec.h"
#include "codecs/limits.h"

namespace tally {
namespace {

v1::JobSettings SettingsOf(const ClientOptions& options) {
  v1::JobSettings settings;
  settings.set_expected_workers(options.expected_workers);
  // Written out, so that workers agree whether they leave it to the default or not.
  settings.set_roster_limit(std::max(options.roster_limit, options.expected_workers));
  settings.set_first_round(options.first_round);
  settings.set_snapshot_interval(options.snapshot_interval);
  if (options.max_late > 0) {
    settings.set_max_late(options.max_late);
    *settings.mutable_late_ceiling() = EncodeDuration(options.late_ceiling);
  }
  return settings;
}

RunIdentity IdentityOf(const ClientOptions& options, const v1::Layout& layout,
                       const v1::JobSettings& settings, MemberId member) {
  RunIdentity identity;
  identity.run = options.run;
  identity.first_round = options.first_round;
  identity.genesis.set_seed(options.seed);
  identity.genesis.set_layout_digest(Digest64(layout.SerializeAsString()));
  identity.genesis.set_settings_digest(Digest64(settings.SerializeAsString()));
  identity.genesis.set_initial_state_digest(options.initial_state_digest);
  identity.member = std::move(member);
  return identity;
}

absl::optional<SavedRun> ReadSavedRun(const ClientOptions& options) {
  if (options.saved_run.empty()) return absl::nullopt;
  absl::StatusOr<SavedRun> run = DecodeSavedRun(options.saved_run, *options.layout);
  TALLY_CHECK(run.ok(), run.status().ToString());
  return *std::move(run);
}

ClientOptions Resuming(ClientOptions options, const absl::optional<SavedRun>& run) {
  if (run.has_value()) options.first_round = run->next_round;
  options.saved_run.clear();
  return options;
}

// Results of so many rounds may wait for the caller's turn, and of more while they are small.
constexpr size_t kEarlyRounds = 2 * kMaxRoundsBehind;
constexpr uint64_t kEarlyBytes = uint64_t{256} << 20;

// Nobody lacks more results than that.
int KeptRounds(const ClientOptions& options) {
  constexpr int kKeptRounds = 2;
  return options.max_late == 0 ? kKeptRounds : kMaxRoundsBehind;
}

// True if a stream that ended so would end so again: the aggregator, or what answers in its place,
// refuses what this worker says.
bool WouldEndSoAgain(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

absl::StatusCode RefusalCode(const v1::Refusal& refusal) {
  if (refusal.code() < 1 || refusal.code() > 16) return absl::StatusCode::kUnknown;
  return static_cast<absl::StatusCode>(refusal.code());
}

}  // namespace

Session::Session(ClientOptions options, MemberId member, absl::Time now)
    : resumed_(ReadSavedRun(options)),
      options_(Resuming(std::move(options), resumed_)),
      layout_(EncodeLayout(*options_.layout)),
      settings_(SettingsOf(options_)),
      identity_(IdentityOf(options_, layout_, settings_, std::move(member))),
      start_deadline_(now + options_.start_timeout),
      missing_genesis_(options_.layout->chunks().size()),
      next_round_(options_.first_round),
      early_results_(kEarlyRounds * options_.layout->chunks().size(), kEarlyBytes) {
  identity_.watches = options_.entry != RunEntry::kBegin;
  for (const AggregatorAddress& address : options_.aggregators) {
    aggregators_.push_back({AggregatorLink(address, options_.heartbeat_interval)});
  }
  MakeChunks();
  for (size_t chunk = 0; chunk < chunks_.size(); ++chunk) {
    ++aggregators_[chunk % aggregators_.size()].num_chunks;
  }
  if (resumed_.has_value()) {
    inheritances_ = Inheritances(std::exchange(resumed_->inheritances, {}));
  }
  if (options_.entry != RunEntry::kBegin) EngageNewcomer();
}

void Session::MakeChunks() {
  chunks_.clear();
  chunks_.reserve(missing_genesis_);
  for (size_t chunk = 0; chunk < missing_genesis_; ++chunk) {
    chunks_.push_back({ChunkHistory(static_cast<uint32_t>(chunk), &identity_),
                       ChunkArchive(options_.snapshot_interval, KeptRounds(options_))});
  }
}

Session::Chunk& Session::ChunkAt(size_t aggregator, size_t position) {
  return chunks_[ChunkIndex(aggregator, position)];
}

const Session::Chunk& Session::ChunkAt(size_t aggregator, size_t position) const {
  return chunks_[ChunkIndex(aggregator, position)];
}

uint32_t Session::ChunkIndex(size_t aggregator, size_t position) const {
  return static_cast<uint32_t>(aggregator + position * aggregators_.size());
}

size_t Session::WindowEnd(size_t aggregator) const {
  const Aggregator& state = aggregators_[aggregator];
  return std::min(state.num_chunks, state.first_missing + state.link.window_chunks());
}

bool Session::Awaited(size_t aggregator) const {
  if (aggregators_[aggregator].num_watching > 0) return true;
  for (size_t p = aggregators_[aggregator].first_missing; p < WindowEnd(aggregator); ++p) {
    if (ChunkAt(aggregator, p).open.has_value()) return true;
  }
  return false;
}

bool Session::HoldsHistory(size_t aggregator) const {
  for (size_t p = 0; p < aggregators_[aggregator].num_chunks; ++p) {
    if (ChunkAt(aggregator, p).history.begun()) return true;
  }
  return false;
}

bool Session::awaits_result() const {
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    if (Awaited(a)) return true;
  }
  return false;
}

Session::Counters Session::counters() const {
  Counters counters = counters_;
  for (const Aggregator& aggregator : aggregators_)
    counters.reconnects += aggregator.link.reconnects();
  return counters;
}

absl::Status Session::CheckUsable() const {
  TALLY_RETURN_IF_ERROR(failure_);
  TALLY_RETURN_IF_ERROR(eviction_);
  if (!started_) return absl::FailedPreconditionError("the run has not started");
  if (leaving()) {
    return absl::FailedPreconditionError("this worker is leaving the run");
  }
  return absl::OkStatus();
}

absl::Status Session::MissingResultsError() const {
  for (size_t chunk = 0; chunk < chunks_.size(); ++chunk) {
    if (chunks_[chunk].history.IsOver(*round_)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("round ", *round_, " is not over: ", missing_results_,
                     " results are missing, the first is that of chunk ", chunk));
  }
  return absl::OkStatus();
}

absl::Status Session::StartRound(absl::Time now) {
  if (failure_.ok() && missing_results_ > 0) return MissingResultsError();
  TALLY_RETURN_IF_ERROR(CheckUsable());
  round_ = next_round_++;
  missing_results_ = chunks_.size();
  round_saves_ = std::exchange(save_announced_, false);
  round_replica_digest_ = std::exchange(replica_digest_, 0);
  for (Chunk& chunk : chunks_) {
    chunk.contributed_halves = 0;
    chunk.watching = false;
  }
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    aggregators_[a].first_missing = 0;
    aggregators_[a].num_watching = 0;
    aggregators_[a].told_late = false;
    Answered(a, now);
  }
  for (ChunkResult& result : early_results_.Take(*round_)) Deliver(std::move(result));
  ActivateIfLevel(now);
  return absl::OkStatus();
}

bool Session::ReplicaDigestWanted() const {
  return started_ && next_round_ % kReplicaInterval == 0 && takes_part();
}

absl::Status Session::CheckTurn(uint32_t chunk, const Place& place) const {
  const Chunk& state = chunks_[chunk];
  if (place.half < state.contributed_halves) {
    return absl::FailedPreconditionError(
        absl::StrCat("chunk ", chunk, " has contributed to ", PlaceName(place)));
  }
  if (place.half == 1 && (state.contributed_halves == 0 || state.history.next() < place)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "chunk ", chunk, ", ", PlaceName(place), " must wait for the result of the first half"));
  }
  return absl::OkStatus();
}

absl::Status Session::Contribute(uint32_t chunk, v1::Contribution contribution,
                                 SharedBuffer payload, absl::Time now) {
  TALLY_RETURN_IF_ERROR(evicted() ? failure_ : CheckUsable());
  if (chunk >= chunks_.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("`chunk` = ", chunk, ", must be less than ", chunks_.size()));
  }
  if (!round_.has_value()) return absl::FailedPreconditionError("no round is open");
  Chunk& state = chunks_[chunk];
  const Place place = {*round_, contribution.exchange().has_values() ? 1u : 0u};
  TALLY_RETURN_IF_ERROR(CheckTurn(chunk, place));
  ++state.contributed_halves;
  const bool is_member = state.history.roster().Has(identity_.member);
  if (state.history.HasResult(place)) {
    if (!contribution.abstain() && is_member) {
      ++counters_.missed_contributions;
      TellLate(chunk, now);
    }
    DeliverHeld(state);
    return absl::OkStatus();
  }
  if (evicted()) {
    if (is_member && !contribution.abstain()) ++counters_.missed_contributions;
    DeliverSettled(chunk, place, /*counted=*/false);
    return absl::OkStatus();
  }
  const size_t aggregator = chunk % aggregators_.size();
  if (!is_member) {
    state.watching = true;
    ++aggregators_[aggregator].num_watching;
    if (!aggregators_[aggregator].end.ok()) FailAtEnd(aggregator);
    SendWindow(aggregator, now);
    return failure_;
  }
  contribution.set_chunk(chunk);
  contribution.set_round(place.round);
  contribution.set_half(place.half);
  contribution.set_run(options_.run);
  *contribution.mutable_member() = EncodeMember(identity_.member);
  contribution.set_prev_chain(state.history.chain());
  contribution.set_save(round_saves_);
  if (place.half == 0) contribution.set_replica_digest(round_replica_digest_);
  state.open = OpenContribution{std::move(contribution), std::move(payload)};
  SendWindow(aggregator, now);
  return absl::OkStatus();
}

void Session::OnWelcome(size_t aggregator, const v1::Welcome& welcome, absl::Time now) {
  if (!failure_.ok() || IsCut(aggregator)) return;
  AggregatorLink& link = aggregators_[aggregator].link;
  if (welcome.verdict() == v1::Welcome::VERDICT_FENCED && !started_ && MayJoin()) {
    return BecomeNewcomer(welcome.fence().incarnation(), now);
  }
  if (welcome.verdict() == v1::Welcome::VERDICT_FENCED && started_) {
    return OnFenced(aggregator, welcome, now);
  }
  const absl::Status status = link.Welcomed(welcome);
  if (!status.ok()) return Fail(status);
  if (newcomer_.has_value()) return Watch(aggregator, welcome, now);
  if (link.observes() && !started_) {
    if (MayJoin()) return BecomeNewcomer(0, now);
    return Fail(absl::FailedPreconditionError(absl::StrCat(
        link.Place(), ": the run has begun without this worker, which is not `elastic`")));
  }
  if (leaving()) return WelcomeLeaver(aggregator, now);
  for (size_t p = 0; p < aggregators_[aggregator].num_chunks; ++p) {
    Chunk& chunk = ChunkAt(aggregator, p);
    if (chunk.open.has_value()) chunk.open->sent = false;
  }
  if (activate_round_.has_value() && !welcome.recovering()) SendActivate(aggregator, now);
  SendWindow(aggregator, now);
}

void Session::OnNotice(size_t aggregator, const v1::Notice& notice) {
  if (!IsCut(aggregator)) aggregators_[aggregator].link.Noticed(notice);
}

void Session::OnRefusal(size_t aggregator, const v1::Refusal& refusal) {
  if (IsCut(aggregator) || (leaving() && !aggregators_[aggregator].leaves_as_member)) {
    return;
  }
  if (evicted()) return;
  // The stream ends next, with the same code and words; what may pass is tried again after that.
  const absl::StatusCode code = RefusalCode(refusal);
  // A newcomer whose incarnation is too early has drawn a later one, or will after Welcome.
  if (newcomer_.has_value() && code == absl::StatusCode::kAborted) return;
  // A leaver that a restarted aggregator finds in no roster any more comes again, as an observer.
  if (leaving() && code == absl::StatusCode::kAborted) return;
  // The end of its run is no failure of an observer that has all it needs.
  if (started_ && !IsMember() && WouldEndSoAgain(absl::Status(code, ""))) return;
  if (code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kResourceExhausted ||
      code == absl::StatusCode::kDeadlineExceeded) {
    return;
  }
  Fail(absl::Status(
      code, absl::StrCat(aggregators_[aggregator].link.Place(), " refused: ", refusal.message())));
}

void Session::OnBadMessage(size_t aggregator, const absl::Status& why) {
  if (IsCut(aggregator)) return;
  Fail(absl::Status(why.code(),
                    absl::StrCat(aggregators_[aggregator].link.Place(), ": ", why.message())));
}

void Session::OnStreamLost(size_t aggregator, const absl::Status& status, absl::Time now) {
  if (!failure_.ok()) return;
  AggregatorLink& link = aggregators_[aggregator].link;
  if (link.state() == AggregatorLink::State::kEnded) return;
  // Nobody needs the memory of an observer, and one that has left everywhere may be refused.
  if (leaving() && (status.ok() || !aggregators_[aggregator].leaves_as_member ||
                    (!IsMemberAt(aggregator) && WouldEndSoAgain(status)))) {
    link.End();
    aggregators_[aggregator].let_go = status.ok() && aggregators_[aggregator].leaves_as_member;
    if (bequest_.has_value()) bequest_->GiveUp(aggregator);
    return EndIfLeft();
  }
  if (evicted()) {
    link.Lost(status, now);
    return;
  }
  if (!IsCut(aggregator) && WouldEndSoAgain(status)) {
    if (started_ && !IsMember()) {
      link.End();
      aggregators_[aggregator].end = status;
      if (aggregators_[aggregator].num_watching > 0) FailAtEnd(aggregator);
      return;
    }
    return Fail(absl::Status(status.code(),
                             absl::StrCat(link.Place(), " ended the stream: ", status.message())));
  }
  link.Lost(status, now);
  donor_.Forget(aggregator);
  if (!newcomer_.has_value()) return;
  for (size_t p = 0; p < aggregators_[aggregator].num_chunks; ++p) {
    newcomer_->Unwatch(ChunkIndex(aggregator, p), now);
  }
}

void Session::FailAtEnd(size_t aggregator) {
  const absl::Status& end = aggregators_[aggregator].end;
  Fail(absl::Status(end.code(), absl::StrCat(aggregators_[aggregator].link.Place(),
                                             " ended the stream: ", end.message())));
}

void Session::SendWindow(size_t aggregator, absl::Time now) {
  Aggregator& state = aggregators_[aggregator];
  if (evicted()) return;
  if (state.waiting_since == absl::InfiniteFuture() && Awaited(aggregator)) {
    state.waiting_since = now;
  }
  if (!state.link.takes_contributions()) return;
  for (size_t p = state.first_missing; p < WindowEnd(aggregator); ++p) {
    absl::optional<OpenContribution>& open = ChunkAt(aggregator, p).open;
    if (!open.has_value() || open->sent) continue;
    open->sent = open->was_sent = true;
    v1::ClientMessage message;
    *message.mutable_contribution() = open->message;
    *message.mutable_contribution()->mutable_links() = Links();
    Send(aggregator, std::move(message), open->payload, now);
  }
}

void Session::Send(size_t aggregator, v1::ClientMessage message, SharedBuffer payload,
                   absl::Time now) {
  aggregators_[aggregator].link.Sent(now);
  actions_.emplace_back(SendMessage{aggregator, std::move(message), std::move(payload)});
}

void Session::Open(size_t aggregator, absl::Time now) {
  aggregators_[aggregator].link.Opened(now);
  actions_.emplace_back(OpenStream{aggregator});
  Send(aggregator, HelloTo(aggregator), nullptr, now);
}

void Session::Fail(absl::Status status) {
  if (!failure_.ok()) return;
  for (size_t a = 0; bequest_.has_value() && a < aggregators_.size(); ++a) bequest_->GiveUp(a);
  failure_ = std::move(status);
  actions_.emplace_back(SessionFailed{failure_});
}

}  // namespace tally
