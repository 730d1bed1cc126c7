#include "aggregator/saved_residuals.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "codecs/place.h"

namespace tally {
namespace {

std::string EntryName(const v1::Entry& entry) {
  return absl::StrCat(PlaceName({entry.round(), entry.half()}), ", chain ",
                      absl::Hex(entry.chain()));
}

absl::Status Differs(uint32_t chunk, absl::string_view field, const std::string& value,
                     const std::string& others) {
  return absl::InvalidArgumentError(absl::StrCat("`chunks[", chunk, "].saved.", field,
                                                 "` = ", value, ", must be ", others,
                                                 ", from which the others resume"));
}

}  // namespace

absl::Status SavedResiduals::CheckAgrees(uint32_t chunk,
                                         const v1::ChunkProgress::Saved& saved) const {
  if (chunk >= description_->layout.chunks().size() || !description_->Places(chunk)) {
    return absl::InvalidArgumentError(
        absl::StrCat("`chunks.chunk` = ", chunk, ", must be one of this aggregator's"));
  }
  if (!std::isfinite(saved.residual_norm()) || saved.residual_norm() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("`chunks[", chunk, "].saved.residual_norm` = ", saved.residual_norm(),
                     ", must be finite and not negative"));
  }
  const auto found = chunks_.find(chunk);
  if (found == chunks_.end()) return absl::OkStatus();
  const Chunk& known = found->second;
  if (known.head.round() != saved.head().round() || known.head.half() != saved.head().half() ||
      known.head.chain() != saved.head().chain()) {
    return Differs(chunk, "head", EntryName(saved.head()), EntryName(known.head));
  }
  if (known.residual_norm != saved.residual_norm()) {
    return Differs(chunk, "residual_norm", absl::StrCat(saved.residual_norm()),
                   absl::StrCat(known.residual_norm));
  }
  if (known.workers_digest != saved.workers_digest()) {
    return Differs(chunk, "workers_digest", absl::StrCat(absl::Hex(saved.workers_digest())),
                   absl::StrCat(absl::Hex(known.workers_digest)));
  }
  return absl::OkStatus();
}

absl::Status SavedResiduals::Check(const v1::Hello& hello) const {
  for (const v1::ChunkProgress& progress : hello.chunks()) {
    if (progress.has_saved()) {
      TALLY_RETURN_IF_ERROR(CheckAgrees(progress.chunk(), progress.saved()));
    }
  }
  return absl::OkStatus();
}

void SavedResiduals::Enter(const MemberId& member, const v1::Hello& hello) {
  Withdraw(member);
  for (const v1::ChunkProgress& progress : hello.chunks()) {
    if (!progress.has_saved()) continue;
    const v1::ChunkProgress::Saved& saved = progress.saved();
    Chunk& chunk = chunks_[progress.chunk()];
    chunk.head = saved.head();
    chunk.residual_norm = saved.residual_norm();
    chunk.workers_digest = saved.workers_digest();
    chunk.tellers.insert(member.worker);
    if (saved.holds_residual()) chunk.holders[member.worker] = member;
  }
}

void SavedResiduals::Withdraw(const MemberId& member) {
  for (auto entry = chunks_.begin(); entry != chunks_.end();) {
    Chunk& chunk = entry->second;
    chunk.holders.erase(member.worker);
    if (chunk.asked.has_value() && chunk.asked->worker == member.worker) chunk.asked.reset();
    chunk.tellers.erase(member.worker);
    entry = chunk.tellers.empty() ? chunks_.erase(entry) : std::next(entry);
  }
}

v1::Hello SavedResiduals::HoldingsOf(const MemberId& member) const {
  v1::Hello hello;
  for (const auto& [index, chunk] : chunks_) {
    const auto holder = chunk.holders.find(member.worker);
    if (holder == chunk.holders.end() || holder->second != member) continue;
    v1::ChunkProgress& progress = *hello.add_chunks();
    progress.set_chunk(index);
    v1::ChunkProgress::Saved& saved = *progress.mutable_saved();
    *saved.mutable_head() = chunk.head;
    saved.set_residual_norm(chunk.residual_norm);
    saved.set_workers_digest(chunk.workers_digest);
    saved.set_holds_residual(true);
  }
  return hello;
}

std::vector<SavedResiduals::Ask> SavedResiduals::TakeAsks() {
  std::vector<Ask> asks;
  for (auto& [index, chunk] : chunks_) {
    if (!chunk.is_missing() || chunk.asked.has_value()) continue;
    chunk.asked = chunk.holders.begin()->second;
    Ask& ask = asks.emplace_back(Ask{*chunk.asked, {}});
    ask.need.set_kind(v1::Need::KIND_SNAPSHOT);
    ask.need.set_chunk(index);
    ask.need.mutable_rounds()->set_first(chunk.head.round());
    ask.need.mutable_rounds()->set_last(chunk.head.round());
  }
  return asks;
}

absl::Status SavedResiduals::Take(const MemberId& member, const ResidualSnapshot& snapshot) {
  const auto found = chunks_.find(snapshot.chunk);
  if (found == chunks_.end()) return absl::OkStatus();
  Chunk& chunk = found->second;
  if (!chunk.is_missing() || chunk.asked != member || snapshot.chain != chunk.head.chain()) {
    return absl::OkStatus();
  }
  TALLY_ASSIGN_OR_RETURN(chunk.residual, ResidualOf(snapshot));
  return absl::OkStatus();
}

std::set<std::string> SavedResiduals::Awaited() const {
  std::set<std::string> workers;
  for (const auto& [index, chunk] : chunks_) {
    if (chunk.is_missing() && chunk.asked.has_value()) workers.insert(chunk.asked->worker);
  }
  return workers;
}

size_t SavedResiduals::num_missing() const {
  return static_cast<size_t>(std::count_if(
      chunks_.begin(), chunks_.end(), [](const auto& entry) { return entry.second.is_missing(); }));
}

bool SavedResiduals::complete() const { return num_missing() == 0; }

SavedResidual SavedResiduals::Find(uint32_t chunk, const Roster& roster) const {
  const auto found = chunks_.find(chunk);
  if (found == chunks_.end()) return {};
  const Chunk& saved = found->second;
  return {.residual = saved.residual,
          .lost = saved.residual_norm > 0 && saved.residual == nullptr,
          .norm = saved.residual_norm,
          .other_workers = saved.workers_digest != roster.WorkersDigest()};
}

}  // namespace tally
