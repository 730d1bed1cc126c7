// How a job goes through a recovery.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "aggregator/job.h"
#include "base/status_macros.h"

namespace tally {

bool HoldsHistory(const v1::Hello& hello) {
  return std::any_of(hello.chunks().begin(), hello.chunks().end(),
                     [](const v1::ChunkProgress& progress) { return progress.has_head(); });
}

bool ClaimsMembership(const v1::Hello& hello) {
  return hello.intent() == v1::INTENT_MEMBER || hello.intent() == v1::INTENT_LEAVING;
}

void Job::BeginRecovery() {
  recovery_.emplace(serial_, description_, window_chunks_);
  for (const auto& [worker, state] : members_) {
    // They have read no history, and what they hold was checked when they came.
    const MemberId member = {worker, state.incarnation};
    recovery_->Enter(member, *JobRecovery::ReadClaims(*description_, saved_.HoldingsOf(member)));
  }
}

absl::Status Job::HandleReplay(const MemberId& member, Replayed piece, absl::Time now,
                               Actions& actions) {
  Hear(member, 0, now);
  if (formed_) return absl::OkStatus();
  if (const auto* snapshot = absl::get_if<ResidualSnapshot>(&piece)) {
    TALLY_RETURN_IF_ERROR(saved_.Take(member, *snapshot));
  }
  if (!recovery_.has_value()) {
    TryStart(now, actions);
    return absl::OkStatus();
  }
  TALLY_RETURN_IF_ERROR(recovery_->Take(member, std::move(piece)));
  Recover(now, actions);
  return absl::OkStatus();
}

void Job::Recover(absl::Time now, Actions& actions) {
  JobRecovery::Work work = recovery_->Proceed();
  for (ChunkRecovery::Ask& ask : work.asks) {
    const absl::optional<StreamId> stream = StreamOf(ask.member);
    if (!stream.has_value()) continue;
    SendControl send{.stream = *stream};
    *send.message.mutable_need() = std::move(ask.need);
    actions.push_back(std::move(send));
  }
  for (ExchangeTask& task : work.tasks) actions.push_back(Compute{std::move(task)});
  if (FetchSavedResiduals(actions) && recovery_->done()) FinishRecovery(now, actions);
}

void Job::FinishRecovery(absl::Time now, Actions& actions) {
  for (size_t i = 0; i < chunks_.size(); ++i) {
    ChunkRecovery& recovery = recovery_->chunks()[i];
    if (!recovery.has_history()) {
      Form(chunks_[i], recovery_->roster_to_begin(), now, actions);
      continue;
    }
    const auto order = chunks_[i].Restore(recovery.TakeRecovered(), now);
    const ChunkLog& history = chunks_[i].history();
    for (const auto* map : {&members_, &observers_}) {
      for (const auto& [worker, state] : *map) {
        const MemberId member = {worker, state.incarnation};
        const absl::optional<v1::Entry> head = recovery.HeadOf(member);
        // A member of other chunks watches this one; who holds nothing of it may be a stranger.
        const bool is_known =
            map == &observers_ || history.roster().Has(member) || head.has_value();
        if (!state.stream.has_value() || !is_known) continue;
        if (head.has_value() && !history.LeadsOnFrom(*head)) continue;
        for (auto& result : history.ResultsAfter(head)) {
          actions.push_back(SendResult{{*state.stream}, std::move(result)});
        }
      }
    }
    if (order.has_value()) SendSnapshotTo(*order, actions);
  }
  actions.push_back(Announce{absl::StrCat(
      "job `", description_->job, "`, run ", description_->run, ": read back from its workers in ",
      absl::FormatDuration(absl::Floor(now - created_at_, absl::Milliseconds(1))))});
  PromoteObservers();
  formed_ = true;
  CloseLost(*recovery_, actions);
  recovery_.reset();
  saved_.Clear();
  for (const auto& [worker, incarnation] : fences_) {
    for (ChunkRound& chunk : chunks_) {
      const absl::optional<size_t> position = chunk.history().roster().IndexOf(worker);
      if (!position.has_value()) continue;
      const MemberId& member = chunk.history().roster().members()[*position];
      if (member.incarnation <= incarnation) chunk.Evict(member);
    }
  }
  CloseStrangers(actions);
  if (!chunks_.empty()) {
    frontier_round_ = chunks_.front().place().round;
    for (const ChunkRound& chunk : chunks_) {
      frontier_round_ = std::min(frontier_round_, chunk.place().round);
    }
    frontier_index_ = 0;
    AdvanceFrontier(now);
  }
  for (const auto* map : {&members_, &observers_}) {
    for (const auto& [worker, state] : *map) {
      if (!state.stream.has_value()) continue;
      SendControl send{.stream = *state.stream};
      send.message.mutable_need()->set_kind(v1::Need::KIND_OPEN_CONTRIBUTION);
      actions.push_back(std::move(send));
    }
  }
}

void Job::PromoteObservers() {
  for (auto entry = observers_.begin(); entry != observers_.end();) {
    if (!InSomeRoster({entry->first, entry->second.incarnation})) {
      ++entry;
      continue;
    }
    members_[entry->first] = entry->second;
    entry = observers_.erase(entry);
  }
}

void Job::CloseStrangers(Actions& actions) {
  for (auto entry = members_.begin(); entry != members_.end();) {
    auto& [worker, state] = *entry;
    const MemberId member = {worker, state.incarnation};
    if (chunks_.empty() || InSomeRoster(member)) {
      ++entry;
      continue;
    }
    const std::string why = absl::StrCat(
        "`member` = ", worker, "/", member.incarnation, ", must be one of those that run ",
        description_->run, " of job `", description_->job,
        "` had before this aggregator was restarted: this worker must come anew");
    if (!state.holds_history) {
      // Who comes with empty hands may come again, to a run that goes on.
      CloseMember(state, absl::UnavailableError(why), actions);
    } else if (state.came_to_leave || state.left) {
      // A leaver has something to hand over: it comes again as an observer.
      CloseMember(state, absl::AbortedError(why), actions);
    } else {
      SendAway(member, state, {}, absl::AbortedError(why), actions);
    }
    entry = members_.erase(entry);
  }
}

}  // namespace tally
