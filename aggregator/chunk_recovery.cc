#include "aggregator/chunk_recovery.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/variant.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "codecs/exchange.h"

namespace tally {

v1::Need ChunkRecovery::NeedOf(v1::Need::Kind kind, uint64_t first_round,
                               uint64_t last_round) const {
  v1::Need need;
  need.set_kind(kind);
  need.set_chunk(chunk_);
  need.mutable_rounds()->set_first(first_round);
  need.mutable_rounds()->set_last(last_round);
  return need;
}

bool ChunkRecovery::Covers(bool is_set, const v1::RoundRange& range, uint64_t round) {
  return is_set && round - range.first() <= range.last() - range.first();
}

bool ChunkRecovery::HoldsHead(const ChunkClaim& claim) {
  return claim.head.has_value() &&
         Covers(claim.progress.has_results(), claim.progress.results(), claim.head->round());
}

void ChunkRecovery::SetClaim(const MemberId& member, ChunkClaim claim) {
  Reset();
  claims_[member.worker] = {member, std::move(claim)};
  FindNewest();
}

void ChunkRecovery::Withdraw(const MemberId& member) {
  const auto found = claims_.find(member.worker);
  if (found == claims_.end() || found->second.first != member) return;
  Reset();
  claims_.erase(found);
  FindNewest();
}

void ChunkRecovery::Evict(const MemberId& member) {
  evicted_.push_back(member);
  Withdraw(member);
}

void ChunkRecovery::Reset() {
  phase_ = Phase::kGathering;
  results_inquiry_.reset();
  headers_inquiry_.reset();
  results_.clear();
  results_complete_ = false;
  snapshot_key_.reset();
  saved_head_.reset();
  headers_.clear();
  held_headers_complete_ = false;
  headers_complete_ = false;
  residual_ = nullptr;
  snapshot_complete_ = false;
  rebased_ = false;
  known_norm_ = 0;
  fold_position_ = 0;
  absent_.clear();
  asked_ = false;
  fold_participants_.clear();
  fold_contributions_.clear();
  if (computing_) ++stale_outcomes_;
  computing_ = false;
}

void ChunkRecovery::FindNewest() {
  newest_ = nullptr;
  roster_.reset();
  for (const auto& [worker, entry] : claims_) {
    const ChunkClaim& claim = entry.second;
    if (!HoldsHead(claim)) continue;
    if (newest_ != nullptr && IndexOf(*claim.head) <= IndexOf(*newest_)) continue;
    newest_ = &*claim.head;
    roster_ = claim.rosters.at(newest_->epoch());
  }
}

std::vector<MemberId> ChunkRecovery::missing() const {
  std::vector<MemberId> missing = missing_members();
  missing.insert(missing.end(), absent_.begin(), absent_.end());
  return missing;
}

std::vector<MemberId> ChunkRecovery::missing_members() const {
  std::vector<MemberId> missing;
  if (!roster_.has_value()) return missing;
  for (const MemberId& member : roster_->members()) {
    if (std::find(evicted_.begin(), evicted_.end(), member) != evicted_.end()) continue;
    const auto found = claims_.find(member.worker);
    if (found == claims_.end() || found->second.first != member) missing.push_back(member);
  }
  return missing;
}

absl::optional<v1::Entry> ChunkRecovery::HeadOf(const MemberId& member) const {
  const auto found = claims_.find(member.worker);
  if (found == claims_.end() || found->second.first != member) return absl::nullopt;
  return found->second.second.head;
}

ChunkRecovery::Work ChunkRecovery::Proceed(bool may_fold) {
  Work work;
  if (phase_ == Phase::kGathering && newest_ != nullptr && missing().empty()) StartReading(work);
  if (phase_ == Phase::kReading && results_complete_ && held_headers_complete_) JoinHeaders();
  if (phase_ == Phase::kReading && headers_complete_ && !snapshot_key_.has_value() && !rebased_) {
    WaitOrRebase();
  }
  if (phase_ == Phase::kReading && results_complete_ && headers_complete_ && snapshot_complete_) {
    StartFolding();
  }
  if (phase_ == Phase::kFolding && may_fold && !computing_) Fold(work);
  return work;
}

ChunkRecovery::Inquiry ChunkRecovery::Inquire(v1::Need::Kind kind, const MemberId& member,
                                              uint64_t first_round, uint64_t last_round,
                                              Work& work) const {
  work.asks.push_back({member, NeedOf(kind, first_round, last_round)});
  return {member, first_round};
}

template <typename Entry>
bool ChunkRecovery::BelongsTo(const absl::optional<Inquiry>& inquiry, const MemberId& member,
                              const Place& place, std::vector<Entry>& list) const {
  if (!inquiry.has_value() || inquiry->member != member) return false;
  if (place == Place{inquiry->first_round, 0}) list.clear();
  // Else it is the end of an answer that nobody waits for any more.
  return !list.empty() || place.round == inquiry->first_round;
}

void ChunkRecovery::StartReading(Work& work) {
  phase_ = Phase::kReading;
  lowest_head_ = IndexOf(*newest_);
  uint64_t lowest_round = newest_->round();
  const MemberId* holder = nullptr;
  // Members that were returned lately lack results too.
  for (const auto& [worker, entry] : claims_) {
    const ChunkClaim& claim = entry.second;
    if (!claim.head.has_value() && !roster_->Has(entry.first)) continue;
    const uint64_t index = claim.head.has_value() ? IndexOf(*claim.head) : 0;
    if (index < lowest_head_) {
      lowest_head_ = index;
      lowest_round = claim.head.has_value() ? claim.head->round() : description_->first_round - 1;
    }
  }
  // An observer's is as good as a member's; whose results reach back furthest comes first.
  uint64_t first_held = 0;
  for (const auto& [worker, entry] : claims_) {
    const ChunkClaim& claim = entry.second;
    if (!HoldsHead(claim) || claim.head->chain() != newest_->chain()) continue;
    const uint64_t first = IndexOf(Place{claim.progress.results().first(), 0});
    if (holder != nullptr && first >= first_held) continue;
    holder = &entry.first;
    first_held = first;
  }
  TALLY_CHECK(holder != nullptr, "somebody here holds the newest entry");
  if (!Covers(true, claims_.at(holder->worker).second.progress.results(), lowest_round)) {
    // Who is further behind cannot follow.
    lowest_round = claims_.at(holder->worker).second.progress.results().first();
    lowest_head_ = IndexOf(Place{lowest_round, 0});
  }
  results_inquiry_ = Inquire(v1::Need::KIND_RESULT, *holder, lowest_round, newest_->round(), work);
  ChooseSnapshot(work);
}

void ChunkRecovery::ChooseSnapshot(Work& work) {
  const MemberId* custodian = nullptr;
  for (const auto& [worker, entry] : claims_) {
    for (const v1::SnapshotKey& key : entry.second.progress.snapshots()) {
      const uint64_t index = IndexOf(Place{key.round(), key.half()});
      if (index > IndexOf(*newest_)) continue;
      const uint64_t best = snapshot_key_.has_value()
                                ? IndexOf(Place{snapshot_key_->round(), snapshot_key_->half()})
                                : 0;
      if (snapshot_key_.has_value() && (index < best || (index == best && !key.is_zero()))) {
        continue;
      }
      snapshot_key_ = key;
      custodian = &entry.first;
    }
  }
  if (!snapshot_key_.has_value()) custodian = ChooseSaved();
  if (!snapshot_key_.has_value()) return AskWhoLeft(work);
  const MemberId* holder = nullptr;
  v1::Entry last_held;
  for (const auto& [worker, entry] : claims_) {
    const ChunkClaim& claim = entry.second;
    if (!HoldsHead(claim) || (holder != nullptr && IndexOf(*claim.head) <= IndexOf(last_held)) ||
        !Covers(claim.progress.has_headers(), claim.progress.headers(), snapshot_key_->round())) {
      continue;
    }
    holder = &entry.first;
    last_held = *claim.head;
  }
  if (holder == nullptr) return Rebase();
  last_held_chain_ = last_held.chain();
  headers_inquiry_ =
      Inquire(v1::Need::KIND_HEADER, *holder, snapshot_key_->round(), last_held.round(), work);
  snapshot_complete_ = snapshot_key_->is_zero();
  if (!snapshot_complete_) {
    const uint64_t round = saved_head_.has_value() ? saved_head_->round() : snapshot_key_->round();
    work.asks.push_back({*custodian, NeedOf(v1::Need::KIND_SNAPSHOT, round, round)});
  }
}

void ChunkRecovery::AskWhoLeft(Work& work) {
  const MemberId* holder = nullptr;
  v1::RoundRange rounds;
  for (const auto& [worker, entry] : claims_) {
    const ChunkClaim& claim = entry.second;
    // Results lead on to the newest entry from there, and from later ones.
    if (!HoldsHead(claim) || !claim.progress.has_headers() || IndexOf(*claim.head) < lowest_head_) {
      continue;
    }
    const v1::RoundRange& held = claim.progress.headers();
    if (holder != nullptr && IndexOf(Place{held.first(), 0}) >= IndexOf(Place{rounds.first(), 0})) {
      continue;
    }
    holder = &entry.first;
    rounds.set_first(held.first());
    rounds.set_last(claim.head->round());
    last_held_chain_ = claim.head->chain();
  }
  if (holder == nullptr) return Rebase();
  headers_inquiry_ = Inquire(v1::Need::KIND_HEADER, *holder, rounds.first(), rounds.last(), work);
}

const MemberId* ChunkRecovery::ChooseSaved() {
  for (const auto& [worker, entry] : claims_) {
    const v1::ChunkProgress::Saved& saved = entry.second.progress.saved();
    if (!saved.holds_residual()) continue;
    saved_head_ = saved.head();
    snapshot_key_.emplace();
    snapshot_key_->set_round(description_->first_round - 1);
    return &entry.first;
  }
  return nullptr;
}

absl::Status ChunkRecovery::Take(const MemberId& member, Replayed piece) {
  struct Taker {
    ChunkRecovery* self;
    const MemberId& member;
    absl::Status operator()(CheckedResult& result) const {
      return self->TakeResult(member, std::move(result));
    }
    absl::Status operator()(ReplayedHeader& header) const {
      return self->TakeHeader(member, std::move(header));
    }
    absl::Status operator()(ReplayedContribution& contribution) const {
      return self->TakeContribution(member, std::move(contribution));
    }
    absl::Status operator()(ResidualSnapshot& snapshot) const {
      return self->TakeSnapshot(std::move(snapshot));
    }
  };
  // What was asked for before a member went away may still come.
  if (phase_ != Phase::kReading && phase_ != Phase::kFolding) return absl::OkStatus();
  return absl::visit(Taker{this, member}, piece);
}

absl::Status ChunkRecovery::TakeResult(const MemberId& member, CheckedResult result) {
  if (results_complete_ || !BelongsTo(results_inquiry_, member, PlaceOf(result.header), results_)) {
    return absl::OkStatus();
  }
  if (!results_.empty() && result.header.prev_chain() != results_.back().chain) {
    return absl::FailedPreconditionError(
        absl::StrCat("chunk ", chunk_, ", ", PlaceName(PlaceOf(result.header)),
                     ": `replay.result` must follow the one before"));
  }
  const Place place = PlaceOf(result.header);
  if (IndexOf(place) == IndexOf(*newest_)) {
    if (result.chain != newest_->chain()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "chunk ", chunk_, ", ", PlaceName(place), ": `replay.result` has chain ",
          absl::Hex(result.chain), ", must have ", absl::Hex(newest_->chain()), " as claimed"));
    }
    results_complete_ = true;
  }
  results_.push_back(std::move(result));
  return absl::OkStatus();
}

bool ChunkRecovery::IsTheSnapshots(const ReplayedHeader& header) const {
  return saved_head_.has_value() ? header.header.has_genesis()
                                 : header.chain == snapshot_key_->chain();
}

absl::Status ChunkRecovery::TakeHeader(const MemberId& member, ReplayedHeader header) {
  if (held_headers_complete_ || rebased_ ||
      !BelongsTo(headers_inquiry_, member, PlaceOf(header.header), headers_)) {
    return absl::OkStatus();
  }
  bool leads_on = true;
  if (!headers_.empty()) {
    leads_on = header.header.prev_chain() == headers_.back().chain;
  } else if (snapshot_key_.has_value()) {
    // Halves of the snapshot's round that come before it.
    if (PlaceOf(header.header) != Place{snapshot_key_->round(), snapshot_key_->half()}) {
      return absl::OkStatus();
    }
    leads_on = IsTheSnapshots(header);
  }
  if (!leads_on) {
    Rebase();
    return absl::OkStatus();
  }
  if (header.header.residual_norm() > 0) known_norm_ = header.header.residual_norm();
  held_headers_complete_ = header.chain == last_held_chain_;
  headers_.push_back(std::move(header));
  return absl::OkStatus();
}

void ChunkRecovery::JoinHeaders() {
  if (headers_complete_) return;
  for (const CheckedResult& result : results_) {
    if (result.header.prev_chain() != headers_.back().chain) continue;
    headers_.push_back({result.header, result.chain});
  }
  headers_complete_ = headers_.back().chain == newest_->chain();
  if (!headers_complete_) Rebase();
}

absl::Status ChunkRecovery::TakeSnapshot(ResidualSnapshot snapshot) {
  if (snapshot_complete_ || !snapshot_key_.has_value()) return absl::OkStatus();
  const uint64_t chain = saved_head_.has_value() ? saved_head_->chain() : snapshot_key_->chain();
  if (snapshot.chain != chain) return absl::OkStatus();
  TALLY_ASSIGN_OR_RETURN(residual_, ResidualOf(snapshot));
  snapshot_complete_ = true;
  return absl::OkStatus();
}

void ChunkRecovery::WaitOrRebase() {
  std::map<std::string, MemberId> gone;
  for (size_t i = fold_position_; i < headers_.size(); ++i) {
    const v1::ResultHeader& header = headers_[i].header;
    for (const v1::Member& member : header.returned()) {
      gone[member.worker()] = {member.worker(), member.incarnation()};
    }
    for (const v1::Departure& left : header.left()) {
      gone[left.member().worker()] = {left.member().worker(), left.member().incarnation()};
    }
    // Neither the dead nor members are waited for here.
    for (const v1::Member& member : header.evicted()) gone.erase(member.worker());
    for (const v1::Member& member : header.activated()) gone.erase(member.worker());
  }
  absent_.clear();
  for (const auto& [worker, member] : gone) {
    const auto found = claims_.find(worker);
    const bool is_here = found != claims_.end() && found->second.first == member;
    const bool is_dead = std::find(evicted_.begin(), evicted_.end(), member) != evicted_.end();
    if (!is_here && !is_dead) absent_.push_back(member);
  }
  if (absent_.empty()) Rebase();
}

void ChunkRecovery::Rebase() {
  rebased_ = true;
  residual_ = nullptr;
  headers_complete_ = true;
  snapshot_complete_ = true;
}

std::map<std::string, std::pair<uint64_t, Place>> ChunkRecovery::LastCounted() const {
  std::vector<const v1::ResultHeader*> headers;
  if (rebased_) {
    for (const CheckedResult& result : results_) headers.push_back(&result.header);
  } else {
    for (const ReplayedHeader& entry : headers_) headers.push_back(&entry.header);
  }
  std::map<std::string, std::pair<uint64_t, Place>> last_counted;
  // Who takes part after an entry is known of the first one too, who took part in it only if its
  // roster is the same.
  absl::optional<Roster> roster = RosterOf(headers.front()->epoch());
  for (const v1::ResultHeader* const header : headers) {
    if (!roster.has_value()) break;
    const bool is_first = header == headers.front();
    if (header->has_exchange() && (!is_first || header->roster_size() == 0)) {
      const auto participants = roster->Participants(header->participants());
      if (!participants.ok()) break;
      for (const MemberId& member : *participants) {
        last_counted[member.worker] = {member.incarnation, PlaceOf(*header)};
      }
    }
    if (is_first) continue;
    absl::StatusOr<Roster> next = roster->After(*header);
    roster = next.ok() ? absl::make_optional(*std::move(next)) : absl::nullopt;
  }
  return last_counted;
}

ChunkRecovery::Recovered ChunkRecovery::TakeRecovered() {
  TALLY_CHECK(phase_ == Phase::kDone, "the chunk is recovered");
  Recovered recovered;
  recovered.last_counted = LastCounted();
  recovered.results = std::move(results_);
  recovered.roster = *roster_;
  recovered.rebased = rebased_;
  recovered.lost_norm = known_norm_;
  recovered.floor = {.place = PlaceOf(recovered.results.back().header),
                     .chain = recovered.results.back().chain,
                     .epoch = roster_->epoch(),
                     .is_zero = true};
  if (residual_ != nullptr) {
    const ReplayedHeader& floor = headers_.front();
    recovered.floor = {.place = PlaceOf(floor.header),
                       .chain = floor.chain,
                       .epoch = floor.header.epoch(),
                       .is_zero = snapshot_key_->is_zero()};
  }
  recovered.residual = std::move(residual_);
  return recovered;
}

}  // namespace tally
