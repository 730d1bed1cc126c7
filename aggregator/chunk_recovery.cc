#include "aggregator/chunk_recovery.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/types/variant.h"
#include "base/check.h"

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

std::vector<const v1::ResultHeader*> ChunkRecovery::KnownHeaders() const {
  std::vector<const v1::ResultHeader*> headers;
  if (rebased_) {
    for (const CheckedResult& result : results_) headers.push_back(&result.header);
  } else {
    for (const ReplayedHeader& entry : headers_) headers.push_back(&entry.header);
  }
  return headers;
}

absl::optional<Roster> ChunkRecovery::FirstRoster(
    const std::vector<const v1::ResultHeader*>& headers) const {
  for (const auto& [worker, entry] : claims_) {
    const auto found = entry.second.rosters.find(headers.front()->epoch());
    if (found == entry.second.rosters.end()) continue;
    absl::StatusOr<Roster> last = found->second;
    for (size_t i = 1; i < headers.size() && last.ok(); ++i) last = last->After(*headers[i]);
    if (last.ok() && *last == *roster_) return found->second;
  }
  return absl::nullopt;
}

std::map<std::string, std::pair<uint64_t, Place>> ChunkRecovery::LastCounted() const {
  const std::vector<const v1::ResultHeader*> headers = KnownHeaders();
  absl::optional<Roster> roster = FirstRoster(headers);
  if (!roster.has_value()) return {};
  std::map<std::string, std::pair<uint64_t, Place>> last_counted;
  for (const v1::ResultHeader* const header : headers) {
    const bool is_first = header == headers.front();
    // Who took part in the first one is known only if nobody has come or gone with it.
    if (header->has_exchange() && (!is_first || header->roster_size() == 0)) {
      const auto participants = roster->Participants(header->participants());
      if (!participants.ok()) return {};
      for (const MemberId& member : *participants) {
        last_counted[member.worker] = {member.incarnation, PlaceOf(*header)};
      }
    }
    if (!is_first) roster = *roster->After(*header);
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
