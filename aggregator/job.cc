#include "aggregator/job.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "codecs/duration.h"

namespace tally {
namespace {

constexpr absl::Duration kNoticeInterval = absl::Seconds(1);

}  // namespace

Job::Job(uint64_t serial, std::shared_ptr<const JobDescription> description, uint32_t window_chunks,
         const EvictionRule& eviction, uint64_t admitted_bytes, absl::Time now,
         absl::Duration running_time)
    : serial_(serial),
      description_(std::move(description)),
      window_chunks_(window_chunks),
      eviction_(eviction),
      admitted_bytes_(admitted_bytes),
      created_at_(now),
      saved_(description_),
      handovers_(&description_->layout),
      round_began_(now),
      running_time_(running_time),
      created_running_(running_time),
      frontier_round_(description_->first_round),
      last_notice_(now) {
  for (const uint32_t chunk : description_->OwnChunks()) {
    chunks_.emplace_back(serial_, chunk, description_);
  }
}

void Job::TryStart(absl::Time now, Actions& actions) {
  const bool all_here = members_.size() == description_->expected_workers;
  const bool enough_here = description_->start_timeout.has_value() &&
                           now - created_at_ >= *description_->start_timeout &&
                           2 * members_.size() > description_->expected_workers;
  if ((!all_here && !enough_here) || !FetchSavedResiduals(actions)) return;
  formed_ = true;
  std::vector<MemberId> members;
  for (const auto& [worker, state] : members_) members.push_back({worker, state.incarnation});
  absl::StatusOr<Roster> roster = Roster::Create(0, std::move(members));
  TALLY_CHECK(roster.ok(), roster.status().ToString());
  for (ChunkRound& chunk : chunks_) Form(chunk, *roster, now, actions);
  saved_.Clear();
}

bool Job::FetchSavedResiduals(Actions& actions) {
  for (SavedResiduals::Ask& ask : saved_.TakeAsks()) {
    const absl::optional<StreamId> stream = StreamOf(ask.member);
    if (!stream.has_value()) continue;
    SendControl send{.stream = *stream};
    *send.message.mutable_need() = std::move(ask.need);
    actions.push_back(std::move(send));
  }
  return saved_.complete();
}

void Job::Form(ChunkRound& chunk, const Roster& roster, absl::Time now, Actions& actions) {
  SavedResidual saved = saved_.Find(chunk.chunk(), roster);
  if (saved.lost) {
    actions.push_back(Announce{absl::StrCat(
        "job `", description_->job, "`, run ", description_->run, ": chunk ", chunk.chunk(),
        " begins without its saved residual, of norm ", saved.norm, ": nobody here holds it")});
  }
  Broadcast(chunk.Form(roster, std::move(saved), now), actions);
}

absl::Status Job::CheckWindow(uint32_t chunk, uint64_t round) const {
  if (round < frontier_round_) return absl::OkStatus();  // Over: it will be answered, not staged.
  const uint64_t index = chunk / description_->aggregators.size();
  const uint64_t rounds_ahead = std::min<uint64_t>(round - frontier_round_, 2);
  if (rounds_ahead * chunks_.size() + index < frontier_index_ + window_chunks_) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("chunk ", chunk, ", round ", round, ": `chunk` must be within ", window_chunks_,
                   " chunks of this aggregator past the lowest incomplete one, chunk ",
                   chunks_[frontier_index_].chunk(), " of round ", frontier_round_));
}

absl::Status Job::HandleContribution(StreamId stream, const MemberId& member,
                                     StagedContribution contribution, absl::Time now,
                                     Actions& actions) {
  Hear(member, contribution.place.round, now);
  ReleaseLeavers(actions);
  if (recovery_.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("chunk ", contribution.chunk, ", ", PlaceName(contribution.place),
                     ": `contribution` must wait until the aggregator has recovered"));
  }
  ++counters_.offered;
  const auto known = members_.find(member.worker);
  if (known != members_.end()) known->second.awaited_since.reset();
  ChunkRound& chunk = Find(contribution.chunk);
  const bool abstain = contribution.abstain;
  absl::Status window = CheckWindow(contribution.chunk, contribution.place.round);
  absl::StatusOr<ChunkRound::Verdict> verdict =
      window.ok() ? chunk.Stage(member, std::move(contribution), now)
                  : absl::StatusOr<ChunkRound::Verdict>(std::move(window));
  if (!verdict.ok()) {
    ++counters_.refused;
    return verdict.status();
  }
  if (auto* answered = absl::get_if<ChunkRound::Answered>(&*verdict)) {
    --counters_.offered;
    actions.push_back(SendResult{{stream}, std::move(answered->result)});
    return absl::OkStatus();
  }
  if (absl::holds_alternative<ChunkRound::Late>(*verdict)) {
    ++counters_.late;
    return absl::OkStatus();
  }
  if (absl::get<ChunkRound::Staged>(*verdict).repeat) {
    --counters_.offered;
    return absl::OkStatus();
  }
  if (abstain) ++counters_.abstained;
  NoteArrival(chunk, now);
  SealIfReady(chunk, now, actions);
  return absl::OkStatus();
}

void Job::SealIfReady(ChunkRound& chunk, absl::Time now, Actions& actions) {
  if (chunk.ready()) Seal(chunk, now, actions);
}

void Job::Seal(ChunkRound& chunk, absl::Time now, Actions& actions) {
  absl::StatusOr<ChunkRound::Sealing> sealing = chunk.Seal(now);
  if (!sealing.ok()) {
    Stop(sealing.status(), actions);
    return;
  }
  for (const ChunkRound::Sealing::Refused& refused : sealing->refused) {
    ++counters_.refused;
    CloseMember(members_[refused.member.worker], refused.status, actions);
  }
  if (sealing->task.has_value()) {
    counters_.counted += sealing->task->payloads.size();
    actions.push_back(Compute{*std::move(sealing->task)});
  } else {
    SendPublished(*std::move(sealing->no_change), now, actions);
  }
}

void Job::HandleOutcome(const ExchangeOutcome& outcome, absl::Time now, Actions& actions) {
  if (stopped_) return;
  if (recovery_.has_value()) {
    recovery_->TakeOutcome(outcome);
    return Recover(now, actions);
  }
  SendPublished(Find(outcome.chunk).Publish(outcome, now), now, actions);
}

void Job::SendPublished(ChunkRound::Published published, absl::Time now, Actions& actions) {
  Broadcast(published.result, actions);
  if (published.snapshot.has_value()) SendSnapshotTo(*published.snapshot, actions);
  NoteDrifted(published, actions);
  NoteHeirs(published);
  MoveMembers(published);
  AdvanceFrontier(now);
  // Nobody may be left in the next exchange.
  SealIfReady(Find(published.result->message.chunk()), now, actions);
}

void Job::NoteDrifted(const ChunkRound::Published& published, Actions& actions) {
  if (!published.drifted.has_value() || *published.drifted == drifted_) return;
  drifted_ = *published.drifted;
  actions.push_back(Announce{absl::StrCat(
      "job `", description_->job, "`, run ", description_->run, ", ",
      PlaceName(published.result->place), ": ",
      drifted_.empty() ? "the replicated state is the same on all workers again"
                       : absl::StrCat("the replicated state of ", absl::StrJoin(drifted_, ", "),
                                      " is another than that of most workers"))});
}

const Job::MemberState* Job::FindState(const MemberId& worker) const {
  for (const std::map<std::string, MemberState>* map : {&members_, &observers_}) {
    const auto found = map->find(worker.worker);
    if (found != map->end() && found->second.incarnation == worker.incarnation) {
      return &found->second;
    }
  }
  return nullptr;
}

Job::MemberState* Job::FindState(const MemberId& worker) {
  return const_cast<MemberState*>(std::as_const(*this).FindState(worker));
}

absl::optional<StreamId> Job::StreamOf(const MemberId& worker) const {
  const MemberState* const state = FindState(worker);
  return state == nullptr ? absl::nullopt : state->stream;
}

void Job::AdvanceFrontier(absl::Time now) {
  while (true) {
    while (frontier_index_ < chunks_.size() &&
           chunks_[frontier_index_].place().round > frontier_round_) {
      ++frontier_index_;
    }
    if (frontier_index_ < chunks_.size()) return;
    ++frontier_round_;
    frontier_index_ = 0;
    round_times_.Add(now - round_began_);
    round_began_ = now;
  }
}

void Job::Broadcast(std::shared_ptr<const StoredResult> result, Actions& actions) const {
  SendResult send;
  for (const auto* map : {&members_, &observers_}) {
    for (const auto& [worker, state] : *map) {
      if (state.stream.has_value()) send.streams.push_back(*state.stream);
    }
  }
  send.result = std::move(result);
  actions.push_back(std::move(send));
}

void Job::Hear(const MemberId& member, uint64_t open_round, absl::Time now) {
  MemberState* const state = FindState(member);
  if (state == nullptr) return;
  state->last_heard = now;
  state->heard_at = running_time_;
  state->open_round = std::max(state->open_round, open_round);
}

void Job::HandleHeartbeat(const MemberId& member, const v1::Heartbeat& heartbeat, absl::Time now,
                          Actions& actions) {
  const auto& links = heartbeat.links().links();
  const int index = static_cast<int>(description_->aggregator_index);
  Hear(member, index < links.size() ? links.at(index).open_round() : 0, now);
  MemberState* const state = FindState(member);
  if (state != nullptr && !links.empty()) {
    state->reaches_all =
        links.size() == static_cast<int>(description_->aggregators.size()) &&
        std::all_of(links.begin(), links.end(), [](const auto& link) { return link.up(); });
    state->reaches_or_left_all =
        links.size() == static_cast<int>(description_->aggregators.size()) &&
        std::all_of(links.begin(), links.end(),
                    [](const auto& link) { return link.up() || link.let_go(); });
  }
  // One worker has no more than its share of the statistics.
  if (state != nullptr && heartbeat.has_late_by() && state->late_in != frontier_round_) {
    state->late_in = frontier_round_;
    arrival_delays_.Add(last_wait_ + std::clamp(DecodeDuration(heartbeat.late_by()),
                                                absl::ZeroDuration(), description_->late_ceiling));
  }
  LearnFences(heartbeat.fences(), now, actions);
  ReleaseLeavers(actions);
}

void Job::HandleClosed(StreamId stream, const MemberId& member, Actions& actions) {
  handovers_.Forget(member.worker);
  handovers_.ForgetHeir(stream);
  const auto observer = observers_.find(member.worker);
  if (observer != observers_.end() && observer->second.stream == stream) {
    observer->second.stream.reset();
    if (recovery_.has_value()) recovery_->Withdraw(member);
    DropObserver(member.worker, absl::OkStatus(), actions);
    return SweepRelay(actions);
  }
  const auto found = members_.find(member.worker);
  if (found == members_.end() || found->second.stream != stream) return;
  found->second.stream.reset();
  SweepRelay(actions);
  saved_.Withdraw(member);
  if (recovery_.has_value()) recovery_->Withdraw(member);
  // Until the run starts nobody depends on who was here.
  if (!formed_) members_.erase(found);
}

void Job::CloseMember(MemberState& member, const absl::Status& status, Actions& actions) {
  if (!member.stream.has_value()) return;
  actions.push_back(CloseStream{*member.stream, status});
  handovers_.ForgetHeir(*member.stream);
  member.stream.reset();
}

void Job::HandleTick(absl::Time now, absl::Duration running_time, bool may_evict,
                     Actions& actions) {
  running_time_ = running_time;
  if (formed_) NoteAwaited();
  if (may_evict && (formed_ || recovery_.has_value())) EvictSilentMembers(now, actions);
  ForgetGone();
  EvictReplaced(now, actions);
  // Somebody on whom the run does not depend may have gone with what it was asked for.
  if (recovery_.has_value()) Recover(now, actions);
  CloseOverdue(now, actions);
  ReturnIdleMembers(now, actions);
  SweepRelay(actions);
  ReleaseLeavers(actions);
  if (!formed_ && !recovery_.has_value()) TryStart(now, actions);
  if (now - last_notice_ < kNoticeInterval) return;
  v1::Notice notice;
  notice.set_reason(WaitReason(now));
  for (const ChunkRound& chunk : chunks_) {
    if (chunk.unprotected()) notice.add_unprotected_chunks(chunk.chunk());
  }
  NoteUnprotected(notice, actions);
  if (notice.reason().empty() && notice.unprotected_chunks().empty()) return;
  last_notice_ = now;
  for (const auto* map : {&members_, &observers_}) {
    for (const auto& [worker, state] : *map) {
      if (!state.stream.has_value()) continue;
      SendControl send{.stream = *state.stream};
      *send.message.mutable_notice() = notice;
      actions.push_back(std::move(send));
    }
  }
}

void Job::NoteUnprotected(const v1::Notice& notice, Actions& actions) {
  const size_t count = static_cast<size_t>(notice.unprotected_chunks_size());
  if (count == num_unprotected_) return;
  num_unprotected_ = count;
  actions.push_back(Announce{absl::StrCat(
      "job `", description_->job, "`, run ", description_->run, ": ",
      count == 0 ? "all residuals would survive a crash again"
                 : absl::StrCat("the residuals of ", count, " chunks, the first is ",
                                notice.unprotected_chunks(0),
                                ", would not survive a crash: their snapshots are not taken"))});
}

void Job::End(Actions& actions) {
  for (auto* map : {&members_, &observers_}) {
    for (auto& [worker, state] : *map) {
      if (state.left) CloseMember(state, absl::OkStatus(), actions);
    }
  }
  Stop(absl::FailedPreconditionError(absl::StrCat("run ", description_->run, " of job `",
                                                  description_->job,
                                                  "` is over: its members have gone")),
       actions);
}

void Job::Stop(const absl::Status& status, Actions& actions) {
  stopped_ = true;
  for (auto& [worker, state] : members_) CloseMember(state, status, actions);
  for (auto& [worker, state] : observers_) CloseMember(state, status, actions);
}

bool Job::over() const {
  if (stopped_) return true;
  return std::all_of(members_.begin(), members_.end(), [](const auto& entry) {
    return (entry.second.left || entry.second.evicted) && !entry.second.stream.has_value();
  });
}

bool Job::left_by_most() const {
  return std::any_of(chunks_.begin(), chunks_.end(), [this](const ChunkRound& chunk) {
    if (!formed_) return false;
    const absl::Span<const MemberId> roster = chunk.history().roster().members();
    const auto num_left = std::count_if(roster.begin(), roster.end(), [this](const auto& member) {
      const MemberState* const state = FindState(member);
      return state != nullptr && state->left;
    });
    return roster.empty() || 2 * static_cast<size_t>(num_left) > roster.size();
  });
}

std::map<uint32_t, uint64_t> Job::Chains() const {
  std::map<uint32_t, uint64_t> chains;
  for (const ChunkRound& chunk : chunks_) {
    if (formed_) chains[chunk.chunk()] = chunk.history().chain();
  }
  return chains;
}

bool Job::connected() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const auto& entry) { return entry.second.stream.has_value(); });
}

bool Job::between_rounds() const {
  return std::all_of(chunks_.begin(), chunks_.end(), [this](const ChunkRound& chunk) {
    return !chunk.under_way() && (!formed_ || chunk.place().round == frontier_round_);
  });
}

size_t Job::exchanges_under_way() const {
  return static_cast<size_t>(std::count_if(
      chunks_.begin(), chunks_.end(), [](const ChunkRound& chunk) { return chunk.under_way(); }));
}

bool Job::WouldBeginRound(uint64_t round) const {
  return round > frontier_round_ || (round == frontier_round_ && between_rounds());
}

}  // namespace tally
