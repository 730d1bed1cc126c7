// How a chunk's residual is folded anew from the contributions that its headers count.
#include <utility>

#include "aggregator/chunk_recovery.h"
#include "codecs/exchange.h"

namespace tally {
namespace {

bool LeavesResidual(const v1::ResultHeader& header) { return header.exchange().has_sign(); }

}  // namespace

void ChunkRecovery::StartFolding() {
  phase_ = Phase::kFolding;
  fold_position_ = 1;
  if (rebased_) return;
  const absl::optional<Roster> roster = FirstRoster(KnownHeaders());
  if (!roster.has_value()) return Rebase();
  fold_roster_ = *roster;
}

void ChunkRecovery::Fold(Work& work) {
  while (!rebased_ && fold_position_ < headers_.size()) {
    const v1::ResultHeader& header = headers_[fold_position_].header;
    if (!LeavesResidual(header)) {
      absl::StatusOr<Roster> next = fold_roster_.After(header);
      if (!next.ok()) {
        Rebase();
        break;
      }
      fold_roster_ = *std::move(next);
      if (header.tracking_rebase()) residual_ = nullptr;
      ++fold_position_;
      continue;
    }
    if (!asked_) {
      AskContributions(header, work);
      if (!rebased_) return;
      continue;
    }
    for (const auto& contribution : fold_contributions_) {
      if (!contribution.has_value()) return;
    }
    work.task = FoldTask(header);
    if (work.task.has_value()) {
      computing_ = true;
      return;
    }
    Rebase();
  }
  phase_ = Phase::kDone;
}

void ChunkRecovery::AskContributions(const v1::ResultHeader& header, Work& work) {
  absl::StatusOr<std::vector<MemberId>> participants =
      fold_roster_.Participants(header.participants());
  if (!participants.ok()) return Rebase();
  std::vector<Ask> asks;
  for (const MemberId& member : *participants) {
    const auto found = claims_.find(member.worker);
    if (found == claims_.end() || found->second.first != member) return WaitOrRebase();
    const v1::ChunkProgress& progress = found->second.second.progress;
    const bool holds_open = progress.has_open() && progress.open().round() == header.round() &&
                            progress.open().half() == header.half();
    if (!holds_open &&
        !Covers(progress.has_contributions(), progress.contributions(), header.round())) {
      return WaitOrRebase();
    }
    asks.push_back({member, NeedOf(v1::Need::KIND_CONTRIBUTION, header.round(), header.round())});
  }
  asked_ = true;
  fold_participants_ = *std::move(participants);
  fold_contributions_.assign(fold_participants_.size(), absl::nullopt);
  work.asks.insert(work.asks.end(), asks.begin(), asks.end());
}

absl::Status ChunkRecovery::TakeContribution(const MemberId& member,
                                             ReplayedContribution contribution) {
  if (phase_ != Phase::kFolding || !asked_ || computing_) return absl::OkStatus();
  const ReplayedHeader& entry = headers_[fold_position_];
  const bool is_asked_for = contribution.chain == 0
                                ? contribution.contribution.place == PlaceOf(entry.header)
                                : contribution.chain == entry.chain;
  if (!is_asked_for) return absl::OkStatus();
  for (size_t i = 0; i < fold_participants_.size(); ++i) {
    if (fold_participants_[i] == member) {
      fold_contributions_[i] = std::move(contribution.contribution);
    }
  }
  return absl::OkStatus();
}

absl::optional<ExchangeTask> ChunkRecovery::FoldTask(const v1::ResultHeader& header) {
  absl::StatusOr<Exchange> exchange =
      DecodeExchange(header.exchange(), description_->layout, chunk_);
  if (!exchange.ok()) return absl::nullopt;
  ExchangeTask task{.job_serial = job_serial_,
                    .chunk = chunk_,
                    .place = PlaceOf(header),
                    .description = description_,
                    .exchange = *std::move(exchange)};
  for (absl::optional<StagedContribution>& contribution : fold_contributions_) {
    if (contribution->abstain || contribution->exchange != task.exchange) return absl::nullopt;
    task.payloads.push_back(std::move(contribution->payload));
  }
  task.divisor = static_cast<uint32_t>(
      task.exchange.divisor == Divisor::kRoster ? fold_roster_.size() : task.payloads.size());
  if (residual_ == nullptr || header.residual_rebased()) {
    residual_ = std::make_shared<Residual>(description_->layout.chunks()[chunk_].num_elements);
  }
  task.residual = residual_;
  return task;
}

void ChunkRecovery::TakeOutcome(const ExchangeOutcome& outcome) {
  if (stale_outcomes_ > 0) {
    --stale_outcomes_;
    return;
  }
  if (!computing_) return;
  computing_ = false;
  asked_ = false;
  const v1::ResultHeader& header = headers_[fold_position_].header;
  absl::StatusOr<Roster> next = fold_roster_.After(header);
  if (outcome.payload_digest != header.payload_digest() || !next.ok()) return Rebase();
  fold_roster_ = *std::move(next);
  if (header.tracking_rebase()) residual_ = nullptr;
  ++fold_position_;
}

}  // namespace tally
