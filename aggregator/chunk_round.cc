#include "aggregator/chunk_round.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "codecs/custodians.h"
#include "codecs/sparse_codec.h"

namespace tally {
namespace {

// Newcomers ask to be taken in a few rounds ahead of all that they know.
constexpr uint64_t kMaxRoundsWithoutMembers = 16;

}  // namespace

std::string ChunkRound::Prefix(const Place& place) const {
  return absl::StrCat("chunk ", chunk_, ", ", PlaceName(place), ": ");
}

std::shared_ptr<const StoredResult> ChunkRound::Form(const Roster& roster, SavedResidual saved,
                                                     absl::Time now) {
  TALLY_CHECK(phase_ == Phase::kForming, "a history starts once");
  v1::ResultHeader header;
  header.set_run(description_->run);
  header.set_chunk(chunk_);
  header.set_round(description_->first_round - 1);
  header.set_epoch(roster.epoch());
  v1::Genesis& genesis = *header.mutable_genesis();
  genesis.set_seed(description_->seed);
  genesis.set_layout_digest(description_->layout_digest);
  genesis.set_settings_digest(description_->settings_digest);
  genesis.set_initial_state_digest(description_->initial_state_digest);
  for (const MemberId& member : roster.members()) *header.add_roster() = EncodeMember(member);
  residual_ = std::move(saved.residual);
  rebases_first_ = saved.other_workers || saved.lost;
  header.set_residual_rebased(saved.lost);
  header.set_residual_norm(saved.norm);
  header.set_tracking_rebase(rebases_first_);
  std::shared_ptr<const StoredResult> result =
      history_.Append(std::move(header), nullptr, {}, /*residual_is_zero=*/residual_ == nullptr);
  // Whoever gave the residual keeps it, as the snapshot of this entry.
  custody_.SetFloor({.place = result->place,
                     .chain = result->chain,
                     .epoch = roster.epoch(),
                     .is_zero = residual_ == nullptr});
  for (const MemberId& member : roster.members()) {
    last_counted_[member.worker] = {member.incarnation, result->place};
  }
  Open({description_->first_round, 0}, now);
  return result;
}

absl::optional<Place> ChunkRound::LastCounted(const MemberId& member) const {
  const absl::optional<size_t> position = history_.roster().IndexOf(member.worker);
  if (position.has_value() && history_.roster().members()[*position] == member &&
      staged_[*position].has_value() && !staged_[*position]->abstain) {
    return place_;
  }
  const auto found = last_counted_.find(member.worker);
  if (found == last_counted_.end() || found->second.first != member.incarnation) {
    return absl::nullopt;
  }
  return found->second.second;
}

absl::optional<ResidualCustody::Order> ChunkRound::Restore(ChunkRecovery::Recovered recovered,
                                                           absl::Time now) {
  TALLY_CHECK(phase_ == Phase::kForming, "a history starts once");
  sealed_header_ = recovered.results.back().header;
  tracks_roster_ =
      sealed_header_.exchange().divisor() == v1::DIVISOR_ROSTER || sealed_header_.tracks_roster();
  head_digest_ = sealed_header_.payload_digest();
  history_.Restore(std::move(recovered.results), recovered.roster);
  residual_ = std::move(recovered.residual);
  custody_.SetFloor(recovered.floor);
  rebased_ = recovered.rebased;
  lost_norm_ = recovered.lost_norm;
  last_counted_ = std::move(recovered.last_counted);
  rebases_first_ = (sealed_header_.has_genesis() && sealed_header_.tracking_rebase()) ||
                   sealed_header_.owes_tracking_rebase();
  Open(PlaceAfter(sealed_header_), now);
  return AnnouncedSnapshot();
}

absl::optional<ResidualCustody::Order> ChunkRound::AnnouncedSnapshot() {
  const v1::ResultHeader& head = sealed_header_;
  const absl::optional<ResidualFloor>& floor = custody_.floor();
  const bool is_held = floor.has_value() && floor->chain == history_.chain();
  // Who took part stands in the roster before the head: where the head has changed it, the next
  // snapshot must do.
  if (!head.snapshot() || is_held || residual_ == nullptr || head.roster_size() > 0) {
    return absl::nullopt;
  }
  const absl::StatusOr<std::vector<MemberId>> custodians = CustodiansAfter(history_.roster(), head);
  if (!custodians.ok()) return absl::nullopt;
  return GiveAsItIs(PlaceOf(head), *custodians);
}

absl::optional<ResidualCustody::Order> ChunkRound::GiveAsItIs(
    const Place& place, absl::Span<const MemberId> custodians) {
  const absl::StatusOr<absl::Span<float>> values = residual_->OnHost();
  if (!values.ok()) return absl::nullopt;
  return custody_.Begin(TakeResidualSnapshot(chunk_, place, history_.chain(), *values),
                        history_.roster().epoch(), custodians);
}

absl::StatusOr<ChunkRound::Verdict> ChunkRound::Stage(const MemberId& member,
                                                      StagedContribution contribution,
                                                      absl::Time now) {
  const std::string place = Prefix(contribution.place);
  if (phase_ == Phase::kForming) {
    return absl::FailedPreconditionError(
        absl::StrCat(place, "`round` must wait until the run has started"));
  }
  if (contribution.place < place_ && description_->max_late > 0) return Verdict(Late{});
  if (contribution.place < place_) {
    std::shared_ptr<const StoredResult> result = history_.FindResult(contribution.place);
    if (result != nullptr) return Verdict(Answered{std::move(result)});
    return absl::NotFoundError(absl::StrCat(
        place, "`round` is over and its result no longer kept; ", PlaceName(place_), " is open"));
  }
  const absl::optional<size_t> position = history_.roster().IndexOf(member.worker);
  if (!position.has_value() || history_.roster().members()[*position] != member) {
    return absl::FailedPreconditionError(absl::StrCat(
        place, "`member` = ", member.worker, "/", member.incarnation, " must be in the roster"));
  }
  if (contribution.place > place_) {
    return absl::FailedPreconditionError(
        absl::StrCat(place, "`round` must be the open one, ", PlaceName(place_)));
  }
  if (contribution.prev_chain != history_.chain()) {
    return absl::FailedPreconditionError(
        absl::StrCat(place, "`prev_chain` = ", absl::Hex(contribution.prev_chain), ", must be ",
                     absl::Hex(history_.chain()), ", the head of this history"));
  }
  if (place_.half == 1 && !contribution.abstain) {
    const absl::Status answers = CheckAnswers(contribution.exchange);
    if (!answers.ok()) return absl::Status(answers.code(), absl::StrCat(place, answers.message()));
  }
  absl::optional<StagedContribution>& staged = staged_[*position];
  if (staged.has_value()) {
    if (staged->payload_digest == contribution.payload_digest &&
        staged->abstain == contribution.abstain && staged->exchange == contribution.exchange) {
      return Verdict(Staged{.repeat = true});
    }
    return absl::AlreadyExistsError(absl::StrCat(
        place, "`payload_digest` = ", absl::Hex(contribution.payload_digest), " of ",
        ExchangeName(contribution.exchange), contribution.abstain ? ", abstaining" : "",
        ", must be ", absl::Hex(staged->payload_digest), " of ", ExchangeName(staged->exchange),
        staged->abstain ? ", abstaining," : "", " as in this worker's first contribution"));
  }
  if (phase_ == Phase::kSealed) return Verdict(Late{});
  staged = std::move(contribution);
  misses_.erase(member.worker);
  idle_.erase(member.worker);
  const auto departure = departures_.find(member.worker);
  if (departure != departures_.end() && departure->second.cause == Cause::kReturned) {
    departures_.erase(departure);
  }
  if (num_arrived_++ == 0) first_arrival_at_ = now;
  return Verdict(Staged{.repeat = false});
}

absl::Status ChunkRound::CheckAnswers(const Exchange& exchange) const {
  const auto& values = absl::get<ValuesExchange>(exchange.kind);
  const uint64_t digest = head_digest_;
  const uint32_t num_candidates = SparseCountOf(history_.newest()->payload->bytes());
  if (values.candidates_digest == digest && values.num_values == num_candidates) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("`exchange` = ", ExchangeName(exchange), ", must be of the ", num_candidates,
                   " elements that the first half chose, payload digest ", absl::Hex(digest)));
}

void ChunkRound::Evict(const MemberId& member) {
  departures_[member.worker] = {.member = member, .cause = Cause::kEvicted};
  CancelActivation(member);
}

void ChunkRound::Leave(const MemberId& member, uint64_t gone_from, bool hands_over) {
  const auto found = departures_.find(member.worker);
  const bool is_known = found != departures_.end() && (found->second.member == member ||
                                                       history_.roster().Has(found->second.member));
  // An earlier process of it that goes is waited for until a header says so.
  if (is_known) return;
  departures_[member.worker] = {
      .member = member, .cause = Cause::kLeft, .gone_from = gone_from, .hands_over = hands_over};
}

void ChunkRound::Activate(const MemberId& member, uint64_t first_round) {
  if (!history_.roster().Has(member)) arrivals_[member.worker] = {member, first_round};
}

void ChunkRound::CancelActivation(const MemberId& member) {
  const auto found = arrivals_.find(member.worker);
  if (found != arrivals_.end() && found->second.member == member) arrivals_.erase(found);
}

bool ChunkRound::ReturnIdle(absl::Time now, absl::Duration grace) {
  if (idle_.empty() || phase_ != Phase::kOpen || now - opened_at_ < grace) return false;
  bool some = false;
  for (const MemberId& member : missing()) {
    if (idle_.count(member.worker) == 0) continue;
    departures_[member.worker] = {.member = member, .cause = Cause::kReturned};
    some = true;
  }
  return some;
}

const ChunkRound::Departure* ChunkRound::GoneAt(size_t position) const {
  if (departures_.empty()) return nullptr;
  const MemberId& member = history_.roster().members()[position];
  const auto found = departures_.find(member.worker);
  if (found == departures_.end() || found->second.member != member) return nullptr;
  const Departure& departure = found->second;
  const bool has_gone = departure.cause != Cause::kLeft || place_.round >= departure.gone_from;
  return has_gone ? &departure : nullptr;
}

bool ChunkRound::ready() const {
  if (phase_ != Phase::kOpen) return false;
  bool somebody_stays = false;
  for (size_t i = 0; i < staged_.size(); ++i) {
    const bool is_gone = GoneAt(i) != nullptr;
    if (!is_gone && !staged_[i].has_value()) return false;
    somebody_stays |= !is_gone;
  }
  // Rounds without anybody lead to the first one of whoever comes.
  return somebody_stays ||
         std::any_of(arrivals_.begin(), arrivals_.end(), [this](const auto& entry) {
           return entry.second.first_round <= place_.round + kMaxRoundsWithoutMembers;
         });
}

bool ChunkRound::needs_rounds_before(uint64_t round) const {
  const absl::optional<ResidualFloor>& floor = custody_.floor();
  return residual_ != nullptr && floor.has_value() &&
         PlaceIndex(floor->place, description_->first_round) <
             PlaceIndex({round, 0}, description_->first_round);
}

bool ChunkRound::secured() const {
  const absl::optional<ResidualFloor>& floor = custody_.floor();
  return residual_ == nullptr || (floor.has_value() && floor->chain == history_.chain());
}

absl::optional<ResidualCustody::Order> ChunkRound::Secure(absl::Span<const MemberId> custodians) {
  TALLY_CHECK(phase_ == Phase::kOpen, "between two exchanges the residual stands still");
  if (custodians.empty() || secured() || custody_.IsOnItsWay(history_.chain(), custodians)) {
    return absl::nullopt;
  }
  return GiveAsItIs(history_.newest()->place, custodians);
}

std::vector<MemberId> ChunkRound::missing() const {
  std::vector<MemberId> members;
  for (size_t i = 0; i < staged_.size(); ++i) {
    if (staged_[i].has_value() || GoneAt(i) != nullptr) continue;
    members.push_back(history_.roster().members()[i]);
  }
  return members;
}

void ChunkRound::Open(const Place& place, absl::Time now) {
  phase_ = Phase::kOpen;
  place_ = place;
  staged_.assign(history_.roster().size(), absl::nullopt);
  num_arrived_ = 0;
  opened_at_ = now;
  closes_at_ = absl::InfiniteFuture();
  // Who says again that it goes may stand in no roster any more.
  for (auto entry = departures_.begin(); entry != departures_.end();) {
    const bool is_here = history_.roster().Has(entry->second.member);
    entry = is_here ? std::next(entry) : departures_.erase(entry);
  }
}

}  // namespace tally
