// How a chunk closes an exchange: who is waited for, what its header says, what follows from it.
#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "aggregator/chunk_round.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/mix64.h"
#include "base/status_macros.h"

namespace tally {

bool ChunkRound::has_quorum() const {
  if (phase_ != Phase::kOpen || description_->max_late == 0 || ready()) return false;
  const size_t size = history_.roster().size();
  const size_t all_but_late = size - std::min<size_t>(size, description_->max_late);
  return num_arrived_ >= std::max(all_but_late, size / 2 + 1);
}

bool ChunkRound::awaits_last_chance() const {
  const std::vector<MemberId> members = missing();
  return std::any_of(members.begin(), members.end(), [this](const MemberId& member) {
    const auto found = misses_.find(member.worker);
    return found != misses_.end() && found->second >= kMaxMisses;
  });
}

void ChunkRound::NoteLate() {
  late_.clear();
  for (const MemberId& member : missing()) {
    late_.push_back(member.worker);
    if (misses_[member.worker]++ < kMaxMisses) continue;
    misses_.erase(member.worker);
    departures_[member.worker] = {.member = member, .cause = Cause::kReturned};
  }
}

absl::optional<std::vector<std::string>> ChunkRound::FindDrifted() const {
  std::map<uint64_t, size_t> votes;
  size_t num_votes = 0;
  for (const auto& contribution : staged_) {
    if (!contribution.has_value() || contribution->replica_digest == 0) continue;
    ++votes[contribution->replica_digest];
    ++num_votes;
  }
  if (num_votes == 0) return absl::nullopt;
  std::vector<std::string> drifted;
  for (size_t i = 0; i < staged_.size(); ++i) {
    if (!staged_[i].has_value() || staged_[i]->replica_digest == 0) continue;
    if (2 * votes[staged_[i]->replica_digest] > num_votes) continue;
    drifted.push_back(history_.roster().members()[i].worker);
  }
  return drifted;
}

void ChunkRound::NameDepartures(const std::vector<bool>& stays) {
  for (size_t i = 0; i < staged_.size(); ++i) {
    const Departure* const departure = GoneAt(i);
    if (departure == nullptr) continue;
    const v1::Member member = EncodeMember(departure->member);
    switch (departure->cause) {
      case Cause::kEvicted:
        *sealed_header_.add_evicted() = member;
        break;
      case Cause::kLeft: {
        v1::Departure& left = *sealed_header_.add_left();
        *left.mutable_member() = member;
        if (departure->hands_over) left.set_heir(HeirOf(departure->member, stays));
        break;
      }
      case Cause::kReturned:
        *sealed_header_.add_returned() = member;
        break;
    }
    idle_.erase(departure->member.worker);
    misses_.erase(departure->member.worker);
    departures_.erase(departure->member.worker);
  }
}

std::string ChunkRound::HeirOf(const MemberId& leaver, const std::vector<bool>& stays) const {
  absl::Span<const MemberId> members = history_.roster().members();
  std::vector<std::string> candidates;
  for (size_t i = 0; i < members.size(); ++i) {
    const auto departure = departures_.find(members[i].worker);
    const bool goes = departure != departures_.end() && departure->second.member == members[i];
    if (stays[i] && !goes) candidates.push_back(members[i].worker);
  }
  if (candidates.empty()) return "";
  return candidates[Mix64(history_.chain() ^ Digest64(leaver.worker)) % candidates.size()];
}

void ChunkRound::NameArrivals(const std::vector<bool>& stays) {
  if (arrivals_.empty() || PlaceAfter(sealed_header_).half != 0) return;
  const Roster& roster = history_.roster();
  size_t size = static_cast<size_t>(std::count(stays.begin(), stays.end(), true));
  for (auto entry = arrivals_.begin(); entry != arrivals_.end();) {
    const Arrival& arrival = entry->second;
    const absl::optional<size_t> position = roster.IndexOf(arrival.member.worker);
    const bool fits = size < description_->roster_limit &&
                      (!position.has_value() || !stays[*position]) &&
                      arrival.first_round <= place_.round + 1;
    if (!fits) {
      ++entry;
      continue;
    }
    *sealed_header_.add_activated() = EncodeMember(arrival.member);
    // None of its contributions is counted yet.
    last_counted_[arrival.member.worker] = {arrival.member.incarnation, place_};
    idle_.insert(arrival.member.worker);
    ++size;
    entry = arrivals_.erase(entry);
  }
}

bool ChunkRound::RosterChanges() const {
  return sealed_header_.left_size() + sealed_header_.evicted_size() +
             sealed_header_.returned_size() + sealed_header_.activated_size() >
         0;
}

bool ChunkRound::NeedsTrackingRebase() const {
  return tracks_roster_ && (RosterChanges() || sealed_header_.residual_rebased() || rebases_first_);
}

absl::StatusOr<Exchange> ChunkRound::MajorityExchange() const {
  struct Camp {
    Exchange exchange;
    std::vector<std::string> workers;
  };
  std::vector<Camp> camps;
  size_t num_contributions = 0;
  for (size_t i = 0; i < staged_.size(); ++i) {
    if (!staged_[i].has_value() || staged_[i]->abstain) continue;
    const Exchange& exchange = staged_[i]->exchange;
    auto camp = std::find_if(camps.begin(), camps.end(),
                             [&](const Camp& other) { return other.exchange == exchange; });
    if (camp == camps.end()) camp = camps.insert(camp, {exchange, {}});
    camp->workers.push_back(history_.roster().members()[i].worker);
    ++num_contributions;
  }
  for (const Camp& camp : camps) {
    if (2 * camp.workers.size() > num_contributions) return camp.exchange;
  }
  const std::string who_sent_what =
      absl::StrJoin(camps, "; ", [](std::string* out, const Camp& camp) {
        absl::StrAppend(out, ExchangeName(camp.exchange), " by ",
                        absl::StrJoin(camp.workers, ", "));
      });
  return absl::FailedPreconditionError(
      absl::StrCat(Prefix(place_), "`exchange` must be the same for more than half of the ",
                   "workers, but they sent ", who_sent_what));
}

void ChunkRound::ForgetLongGone() {
  if (last_counted_.size() <= 2 * size_t{description_->roster_limit}) return;
  for (auto entry = last_counted_.begin(); entry != last_counted_.end();) {
    const bool is_here = history_.roster().Has({entry->first, entry->second.first});
    entry = is_here ? std::next(entry) : last_counted_.erase(entry);
  }
}

absl::StatusOr<ChunkRound::Sealing> ChunkRound::Seal(absl::Time now) {
  TALLY_CHECK(ready() || overdue(now), "an exchange is sealed when enough are there");
  sealed_at_ = now;
  closes_at_ = absl::InfiniteFuture();
  NoteLate();
  drifted_ = FindDrifted();
  Sealing sealing;
  sealed_header_.Clear();
  sealed_header_.set_run(description_->run);
  sealed_header_.set_chunk(chunk_);
  sealed_header_.set_round(place_.round);
  sealed_header_.set_half(place_.half);
  sealed_participants_.clear();
  if (rebased_) {
    sealed_header_.set_residual_rebased(true);
    sealed_header_.set_residual_norm(lost_norm_);
    rebased_ = false;
  }

  ForgetLongGone();
  std::vector<bool> stays(staged_.size());
  for (size_t i = 0; i < staged_.size(); ++i) stays[i] = GoneAt(i) == nullptr;
  NameDepartures(stays);
  owes_snapshot_ |=
      sealed_header_.left_size() + sealed_header_.evicted_size() + sealed_header_.returned_size() >
      0;
  const bool all_abstain = std::all_of(
      staged_.begin(), staged_.end(),
      [](const auto& contribution) { return !contribution.has_value() || contribution->abstain; });
  // One worker alone could make every round carry a snapshot.
  const auto num_saving = std::count_if(
      staged_.begin(), staged_.end(),
      [](const auto& contribution) { return contribution.has_value() && contribution->save; });
  const bool saves = 2 * static_cast<size_t>(num_saving) > num_arrived_;
  const Roster& roster = history_.roster();
  if (all_abstain) {
    sealed_header_.set_save(saves && residual_ == nullptr);
    sealed_header_.set_participants(roster.ParticipantBitmap({}));
    NameArrivals(stays);
    sealed_header_.set_tracking_rebase(NeedsTrackingRebase());
    if (sealed_header_.tracking_rebase()) residual_ = nullptr;
    // No exchange may have told yet that the workers of a resumed run track.
    rebases_first_ |= !tracks_roster_ && (RosterChanges() || sealed_header_.residual_rebased());
    sealed_header_.set_tracks_roster(tracks_roster_);
    sealed_header_.set_owes_tracking_rebase(rebases_first_);
    sealing.no_change = Append(sealed_header_, nullptr, now);
    return sealing;
  }

  TALLY_ASSIGN_OR_RETURN(const Exchange exchange, MajorityExchange());
  ExchangeTask task{.job_serial = job_serial_,
                    .chunk = chunk_,
                    .place = place_,
                    .description = description_,
                    .exchange = exchange};
  std::vector<size_t> participants;
  for (size_t i = 0; i < staged_.size(); ++i) {
    if (!staged_[i].has_value() || staged_[i]->abstain) continue;
    StagedContribution& contribution = *staged_[i];
    if (contribution.exchange != exchange) {
      sealing.refused.push_back(
          {roster.members()[i],
           absl::FailedPreconditionError(
               absl::StrCat(Prefix(place_), "`exchange` = ", ExchangeName(contribution.exchange),
                            ", must be ", ExchangeName(exchange), ", which most workers sent"))});
      continue;
    }
    task.payloads.push_back(std::move(contribution.payload));
    participants.push_back(i);
    last_counted_[roster.members()[i].worker] = {roster.members()[i].incarnation, place_};
    if (stays[i]) sealed_participants_.push_back(roster.members()[i]);
  }
  task.divisor = static_cast<uint32_t>(
      task.exchange.divisor == Divisor::kRoster ? roster.size() : participants.size());
  if (absl::holds_alternative<SignExchange>(task.exchange.kind)) {
    if (residual_ == nullptr) {
      residual_ = std::make_shared<Residual>(description_->layout.chunks()[chunk_].num_elements);
    }
    task.residual = residual_;
  }
  *sealed_header_.mutable_exchange() = EncodeExchange(task.exchange);
  NameArrivals(stays);
  tracks_roster_ = exchange.divisor == Divisor::kRoster;
  sealed_header_.set_tracking_rebase(NeedsTrackingRebase());
  if (residual_ != nullptr && !sealed_header_.tracking_rebase() &&
      (saves || custody_.IsDue(place_, owes_snapshot_))) {
    task.snapshot_of = residual_;
  }
  rebases_first_ = false;
  sealed_header_.set_save(saves);
  sealed_header_.set_participants(roster.ParticipantBitmap(participants));
  sealing.task = std::move(task);
  phase_ = Phase::kSealed;
  return sealing;
}

ChunkRound::Published ChunkRound::Publish(const ExchangeOutcome& outcome, absl::Time now) {
  TALLY_CHECK(phase_ == Phase::kSealed && outcome.place == place_,
              "the outcome must be the sealed exchange's");
  sealed_header_.set_payload_bytes(outcome.payload->size());
  sealed_header_.set_payload_digest(outcome.payload_digest);
  if (sealed_header_.tracking_rebase()) residual_ = nullptr;
  const bool has_custodian = !sealed_participants_.empty();
  sealed_header_.set_save(sealed_header_.save() && (residual_ == nullptr || has_custodian));
  if (outcome.snapshot == nullptr) return Append(sealed_header_, outcome.payload, now);
  sealed_header_.set_residual_norm(outcome.residual_norm);
  sealed_header_.set_snapshot(has_custodian);
  Published published = Append(sealed_header_, outcome.payload, now);
  absl::optional<ResidualCustody::Order> order = GiveIntoCustody(*published.result, outcome);
  if (order.has_value()) published.snapshot = std::move(order);
  return published;
}

absl::optional<ResidualCustody::Order> ChunkRound::GiveIntoCustody(const StoredResult& result,
                                                                   const ExchangeOutcome& outcome) {
  auto snapshot = std::make_shared<const ResidualSnapshot>(
      ResidualSnapshot{.chunk = chunk_,
                       .place = result.place,
                       .chain = result.chain,
                       .payload = outcome.snapshot,
                       .payload_digest = outcome.snapshot_digest});
  if (!sealed_participants_.empty()) owes_snapshot_ = false;
  return custody_.Begin(std::move(snapshot), history_.roster().epoch(), sealed_participants_);
}

ChunkRound::Published ChunkRound::Append(v1::ResultHeader header, SharedBuffer payload,
                                         absl::Time now) {
  v1::Advice advice;
  advice.set_wait_us(
      static_cast<uint64_t>(absl::ToInt64Microseconds(sealed_at_ - first_arrival_at_)));
  advice.set_compute_us(static_cast<uint64_t>(absl::ToInt64Microseconds(now - sealed_at_)));
  for (const std::string& worker : late_) advice.add_late(worker);
  if (drifted_.has_value()) {
    for (const std::string& worker : *drifted_) advice.add_drifted(worker);
  }
  const bool residual_is_zero = residual_ == nullptr;
  if (!residual_is_zero && custody_.floor().has_value()) {
    const ResidualFloor& floor = *custody_.floor();
    advice.mutable_snapshot_floor()->set_round(floor.place.round);
    advice.mutable_snapshot_floor()->set_half(floor.place.half);
    advice.mutable_snapshot_floor()->set_chain(floor.chain);
    advice.mutable_snapshot_floor()->set_epoch(floor.epoch);
    advice.set_floor_is_zero(floor.is_zero);
  }
  const Place next = PlaceAfter(header);
  head_digest_ = header.payload_digest();
  Published published;
  published.drifted = drifted_;
  for (const v1::Member& member : header.activated()) {
    published.activated.push_back({member.worker(), member.incarnation()});
  }
  for (const v1::Member& member : header.returned()) {
    published.returned.push_back({member.worker(), member.incarnation()});
  }
  published.left.assign(header.left().begin(), header.left().end());
  published.result =
      history_.Append(std::move(header), std::move(payload), std::move(advice), residual_is_zero);
  if (residual_is_zero) {
    custody_.SetFloor({.place = published.result->place,
                       .chain = published.result->chain,
                       .epoch = history_.roster().epoch(),
                       .is_zero = true});
  } else {
    published.snapshot = custody_.AfterResult();
  }
  Open(next, now);
  return published;
}

}  // namespace tally
