// How a job evicts members.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "aggregator/job.h"

namespace tally {
namespace {

// A member that hangs is awaited for so many of the rounds that it usually takes part in.
constexpr int kRoundsWithoutProgress = 10;

}  // namespace

void Job::NoteAwaited() {
  std::set<std::string> awaited;
  for (const ChunkRound& chunk : chunks_) {
    if (chunk.phase() != ChunkRound::Phase::kOpen || chunk.num_arrived() == 0) continue;
    for (const MemberId& member : chunk.missing()) awaited.insert(member.worker);
  }
  for (auto& [worker, state] : members_) {
    if (awaited.count(worker) == 0) {
      state.awaited_since.reset();
    } else if (!state.awaited_since.has_value()) {
      state.awaited_since = running_time_;
    }
  }
}

void Job::EvictSilentMembers(absl::Time now, Actions& actions) {
  // Nobody waits for anybody here.
  if (chunks_.empty()) return;
  // By worker.
  std::map<std::string, MemberSign> signs;
  for (const auto& [worker, state] : members_) {
    // One that has announced its leave is waited for up to the round that it named.
    const bool is_done = state.left && !state.awaited_since.has_value();
    if (is_done || state.evicted) continue;
    signs[worker] = {.silent_for = running_time_ - state.heard_at,
                     .awaited_for = state.awaited_since.has_value()
                                        ? running_time_ - *state.awaited_since
                                        : absl::ZeroDuration(),
                     .connected = state.stream.has_value(),
                     .reaches_all = state.reaches_all};
  }
  if (recovery_.has_value()) {
    // Who has not come since the restart was never heard here.
    for (const MemberId& member : recovery_->missing_members()) {
      signs.insert({member.worker, {.silent_for = running_time_ - created_running_}});
    }
  }
  std::vector<std::string> workers;
  std::vector<MemberSign> roster;
  for (const auto& [worker, sign] : signs) {
    workers.push_back(worker);
    roster.push_back(sign);
  }
  EvictionRule rule = eviction_;
  rule.progress_after =
      std::max(rule.progress_after, kRoundsWithoutProgress * round_times_.Median());
  size_t num_level = 0;
  for (const auto* map : {&members_, &observers_}) {
    for (const auto& [worker, state] : *map) {
      const bool is_heard =
          state.stream.has_value() && running_time_ - state.heard_at < rule.evict_after;
      const bool is_level =
          map == &observers_ && state.is_level && !state.left && state.reaches_all;
      const bool is_leaver = (state.left || state.came_to_leave) && state.reaches_or_left_all;
      if (is_heard && (is_level || is_leaver)) ++num_level;
    }
  }
  for (const size_t position : MembersToEvict(roster, rule, num_level)) {
    const MemberSign& sign = roster[position];
    const bool hangs = sign.awaited_for >= rule.progress_after;
    const absl::Duration since = hangs ? sign.awaited_for : sign.silent_for;
    Evict(workers[position],
          absl::StrCat(hangs ? "others wait for its contribution for " : "silent for ",
                       absl::StrFormat("%.1f s", absl::ToDoubleSeconds(since))),
          now, actions);
  }
  if (recovery_.has_value() && NumWitnesses(roster, rule) + num_level > 0) {
    GiveUpAbsent(rule.evict_after, now, actions);
  }
}

void Job::GiveUpAbsent(absl::Duration evict_after, absl::Time now, Actions& actions) {
  const absl::Duration absent_for = running_time_ - created_running_;
  if (absent_for < evict_after) return;
  const std::vector<MemberId> members = recovery_->missing_members();
  bool gives_up = false;
  for (const MemberId& member : recovery_->missing()) {
    if (std::find(members.begin(), members.end(), member) != members.end()) continue;
    gives_up = true;
    actions.push_back(Announce{absl::StrCat(
        "job `", description_->job, "`, run ", description_->run, ": worker `", member.worker,
        "`, which has left, is not waited for any more: it may have held "
        "what is missing of a residual, and has not come for ",
        absl::StrFormat("%.1f s", absl::ToDoubleSeconds(absent_for)))});
    recovery_->Evict(member);
  }
  if (gives_up) Recover(now, actions);
}

void Job::Evict(const std::string& worker, const std::string& why, absl::Time now,
                Actions& actions) {
  const auto found = members_.find(worker);
  MemberId member = {worker, found == members_.end() ? 0 : found->second.incarnation};
  if (recovery_.has_value()) {
    for (const MemberId& missing : recovery_->missing()) {
      if (missing.worker == worker) member = missing;
    }
  }
  actions.push_back(Announce{absl::StrCat("job `", description_->job, "`, run ", description_->run,
                                          ": worker `", worker, "` was evicted: ", why)});
  uint64_t& fence = fences_[worker];
  fence = std::max(fence, member.incarnation);
  if (found != members_.end() && found->second.incarnation <= member.incarnation) {
    found->second.evicted = true;
    const std::string closed =
        absl::StrCat("worker `", worker, "`/", member.incarnation, " was evicted: ", why);
    if (recovery_.has_value()) {
      // It comes again, and is told what counts of it when that is known.
      CloseMember(found->second, absl::UnavailableError(closed), actions);
    } else {
      SendAway({worker, found->second.incarnation}, found->second, {},
               absl::FailedPreconditionError(closed), actions);
    }
  }
  if (recovery_.has_value()) {
    recovery_->Evict(member);
    return Recover(now, actions);
  }
  for (ChunkRound& chunk : chunks_) {
    chunk.Evict(member);
    SealIfReady(chunk, now, actions);
  }
}

void Job::LearnFences(const google::protobuf::RepeatedPtrField<v1::Member>& fences, absl::Time now,
                      Actions& actions) {
  for (const v1::Member& dead : fences) {
    const auto found = members_.find(dead.worker());
    const bool is_member = found != members_.end() && !found->second.evicted &&
                           found->second.incarnation <= dead.incarnation();
    if (is_member && formed_) {
      Evict(dead.worker(), "another aggregator has evicted it", now, actions);
    }
    uint64_t& fence = fences_[dead.worker()];
    fence = std::max(fence, dead.incarnation());
    const auto observer = observers_.find(dead.worker());
    if (observer != observers_.end() && observer->second.incarnation <= fence) {
      SendAway({dead.worker(), observer->second.incarnation}, observer->second, {},
               absl::AbortedError(absl::StrCat("incarnations of worker `", dead.worker(),
                                               "` up to ", fence, " are dead")),
               actions);
      DropObserver(dead.worker(), absl::OkStatus(), actions);
    }
  }
  EvictMissing(now, actions);
}

void Job::EvictMissing(absl::Time now, Actions& actions) {
  if (!recovery_.has_value()) return;
  for (const MemberId& missing : recovery_->missing()) {
    const auto fence = fences_.find(missing.worker);
    if (fence == fences_.end() || fence->second < missing.incarnation) continue;
    Evict(missing.worker, "another aggregator has evicted it", now, actions);
    if (!recovery_.has_value()) return;
  }
}

void Job::ForgetGone() {
  for (auto entry = members_.begin(); entry != members_.end();) {
    const MemberState& state = entry->second;
    const bool has_left =
        state.left && !state.stream.has_value() && running_time_ >= state.stays_until;
    const bool is_needed =
        !(state.evicted || has_left) || !formed_ || InSomeRoster({entry->first, state.incarnation});
    entry = is_needed ? std::next(entry) : members_.erase(entry);
  }
}

}  // namespace tally
