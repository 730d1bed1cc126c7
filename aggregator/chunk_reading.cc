// How results, headers and a snapshot of a chunk are fetched from those who hold them.
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "aggregator/chunk_recovery.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace tally {

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

}  // namespace tally
