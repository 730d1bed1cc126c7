#include "client/chunk_archive.h"

#include <algorithm>
#include <utility>

namespace tally {
namespace {

void Extend(absl::optional<v1::RoundRange>& range, uint64_t round) {
  if (!range.has_value()) range.emplace().set_first(round);
  range->set_last(round);
}

}  // namespace

absl::optional<size_t> ChunkArchive::PositionOf(const Place& place) const {
  for (size_t i = entries_.size(); i-- > 0;) {
    if (entries_[i].place == place) return i;
  }
  return absl::nullopt;
}

void ChunkArchive::Append(Entry entry) {
  entries_.push_back(std::move(entry));
  // Both halves of a round count once.
  int rounds = 1;
  for (size_t i = entries_.size() - 1; i-- > 0 && entries_[i].has_result;) {
    if (entries_[i].place.round != entries_[i + 1].place.round) ++rounds;
    if (rounds <= kept_rounds_) continue;
    entries_[i].has_result = false;
    entries_[i].result = nullptr;
  }
  while (entries_.size() - floor_ > max_entries_) {
    ++floor_;
    floor_is_zero_ = false;
    unprotected_ = true;
  }
  DropOld();
}

void ChunkArchive::SetFloor(const Place& place, uint64_t chain, bool is_zero) {
  const absl::optional<size_t> position = PositionOf(place);
  if (!position.has_value() || *position < floor_ || entries_[*position].chain != chain) return;
  floor_ = *position;
  floor_is_zero_ = is_zero;
  unprotected_ = false;
  DropOld();
}

void ChunkArchive::DropOld() {
  for (size_t i = 0; i <= floor_; ++i) {
    entries_[i].contribution.reset();
    entries_[i].contribution_payload = nullptr;
  }
  while (floor_ > 0 && !entries_.front().has_result) {
    entries_.pop_front();
    --floor_;
  }
  snapshots_.erase(std::remove_if(snapshots_.begin(), snapshots_.end(),
                                  [this](const Snapshot& snapshot) {
                                    const absl::optional<size_t> position =
                                        PositionOf(snapshot.place);
                                    return !position.has_value() || *position < floor_;
                                  }),
                   snapshots_.end());
}

bool ChunkArchive::KeepSnapshot(Snapshot snapshot) {
  const absl::optional<size_t> position = PositionOf(snapshot.place);
  if (!position.has_value() || *position < floor_ || entries_[*position].chain != snapshot.chain) {
    return false;
  }
  const bool is_kept = std::any_of(snapshots_.begin(), snapshots_.end(), [&](const Snapshot& kept) {
    return kept.chain == snapshot.chain;
  });
  if (!is_kept) snapshots_.push_back(std::move(snapshot));
  return true;
}

void ChunkArchive::Describe(v1::ChunkProgress& progress) const {
  absl::optional<v1::RoundRange> headers, results, contributions;
  for (const Entry& entry : entries_) {
    Extend(headers, entry.place.round);
    if (entry.has_result) Extend(results, entry.place.round);
    if (entry.contribution.has_value()) Extend(contributions, entry.place.round);
  }
  if (headers.has_value()) *progress.mutable_headers() = *headers;
  if (results.has_value()) *progress.mutable_results() = *results;
  if (contributions.has_value()) *progress.mutable_contributions() = *contributions;
  const auto add_snapshot = [&](const Place& place, uint64_t chain) {
    v1::SnapshotKey* const key = progress.add_snapshots();
    key->set_round(place.round);
    key->set_half(place.half);
    key->set_chain(chain);
    return key;
  };
  if (floor_is_zero_ && !entries_.empty()) {
    add_snapshot(entries_[floor_].place, entries_[floor_].chain)->set_is_zero(true);
  }
  for (const Snapshot& snapshot : snapshots_) add_snapshot(snapshot.place, snapshot.chain);
}

const ChunkArchive::Entry* ChunkArchive::EntryBefore(const Place& place) const {
  const absl::optional<size_t> position = PositionOf(place);
  return position.has_value() && *position > 0 ? &entries_[*position - 1] : nullptr;
}

std::vector<Roster> ChunkArchive::Rosters() const {
  std::vector<Roster> rosters;
  for (const Entry& entry : entries_) {
    if (rosters.empty() || rosters.back().epoch() != entry.roster.epoch()) {
      rosters.push_back(entry.roster);
    }
  }
  return rosters;
}

}  // namespace tally
