// Workers that watch a run: how they come, get the state and become members, and how members become
// observers again.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "aggregator/admission.h"
#include "aggregator/job.h"
#include "base/status_macros.h"

namespace tally {
namespace {

// The first contribution of a newcomer is waited for so long at least.
constexpr absl::Duration kShortestGrace = absl::Seconds(1);

}  // namespace

void Job::EvictReplaced(absl::Time now, Actions& actions) {
  std::vector<MemberId> replaced;
  for (const auto& [worker, observer] : observers_) {
    const auto elder = members_.find(worker);
    if (elder == members_.end() || elder->second.evicted ||
        elder->second.incarnation >= observer.incarnation) {
      continue;
    }
    const MemberId member = {worker, elder->second.incarnation};
    if (!elder->second.left || InSomeRoster(member)) replaced.push_back(member);
  }
  if (recovery_.has_value()) {
    for (const MemberId& missing : recovery_->missing()) {
      if (IncarnationHere(missing.worker) > missing.incarnation) replaced.push_back(missing);
    }
  }
  for (const MemberId& member : replaced) {
    if (formed_ || recovery_.has_value()) {
      Evict(member.worker, "a newer process of it is here", now, actions);
    } else {
      CloseMember(members_[member.worker],
                  absl::FailedPreconditionError("a newer process of this worker is here"), actions);
      members_.erase(member.worker);
    }
  }
}

void Job::HandleActivate(const MemberId& member, const v1::Activate& activate, absl::Time now,
                         Actions& actions) {
  Hear(member, 0, now);
  // What comes too early is repeated.
  if (!formed_) return;
  MemberState* const state = FindState(member);
  if (state != nullptr) state->is_level = true;
  for (ChunkRound& chunk : chunks_) {
    chunk.Activate(member, activate.round());
    SealIfReady(chunk, now, actions);
  }
}

void Job::HandleStateRequest(const MemberId& newcomer, const v1::StateRequest& request,
                             absl::Time now, Actions& actions) {
  Hear(newcomer, 0, now);
  SweepRelay(actions);
  std::vector<StateRelay::Donor> donors;
  for (const auto& [worker, state] : members_) {
    if (GivesState(state)) donors.push_back({{worker, state.incarnation}, *state.stream});
  }
  const absl::optional<StateRelay::Donor> donor = relay_.Request(newcomer, request, donors);
  if (!donor.has_value()) return SendNoState({newcomer, request.id()}, actions);
  SendControl send{.stream = donor->stream};
  *send.message.mutable_state_request() = request;
  *send.message.mutable_state_request()->mutable_newcomer() = EncodeMember(newcomer);
  actions.push_back(std::move(send));
}

bool Job::GivesState(const MemberState& state) const {
  return formed_ && state.stream.has_value() && !state.left && !state.evicted;
}

absl::Status Job::HandleStatePart(const MemberId& donor, v1::StatePart part, std::string piece,
                                  absl::Time now, Actions& actions) {
  Hear(donor, 0, now);
  TALLY_ASSIGN_OR_RETURN(const absl::optional<MemberId> newcomer,
                         relay_.Relay(donor, part, piece.size()));
  if (!newcomer.has_value()) return absl::OkStatus();
  const absl::optional<StreamId> stream = StreamOf(*newcomer);
  if (!stream.has_value()) return absl::OkStatus();
  SendControl send{.stream = *stream};
  *part.mutable_donor() = EncodeMember(donor);
  *send.message.mutable_state_part() = std::move(part);
  send.message.set_payload(std::move(piece));
  actions.push_back(std::move(send));
  return absl::OkStatus();
}

void Job::SendNoState(const StateRelay::Orphan& orphan, Actions& actions) const {
  const absl::optional<StreamId> stream = StreamOf(orphan.newcomer);
  if (!stream.has_value()) return;
  SendControl send{.stream = *stream};
  send.message.mutable_state_part()->set_id(orphan.id);
  actions.push_back(std::move(send));
}

void Job::SweepRelay(Actions& actions) {
  const auto gives = [this](const StateRelay::Donor& donor) {
    const MemberState* const state = FindState(donor.member);
    return state != nullptr && GivesState(*state) && state->stream == donor.stream;
  };
  const auto waits = [this](const MemberId& newcomer) { return StreamOf(newcomer).has_value(); };
  for (const StateRelay::Orphan& orphan : relay_.Sweep(gives, waits)) SendNoState(orphan, actions);
}

void Job::DropObserver(const std::string& worker, const absl::Status& status, Actions& actions) {
  const auto found = observers_.find(worker);
  if (found == observers_.end()) return;
  const MemberId member = {worker, found->second.incarnation};
  for (ChunkRound& chunk : chunks_) chunk.CancelActivation(member);
  CloseMember(found->second, status, actions);
  observers_.erase(found);
}

void Job::MoveMembers(const ChunkRound::Published& published) {
  for (const MemberId& member : published.activated) {
    MemberState state{.incarnation = member.incarnation, .heard_at = running_time_};
    const auto observer = observers_.find(member.worker);
    if (observer != observers_.end() && observer->second.incarnation == member.incarnation) {
      state = observer->second;
      observers_.erase(observer);
    }
    const auto known = members_.find(member.worker);
    if (known == members_.end() || known->second.incarnation != member.incarnation) {
      members_[member.worker] = std::move(state);
    }
  }
  for (const MemberId& member : published.returned) {
    const auto found = members_.find(member.worker);
    if (found == members_.end() || found->second.incarnation != member.incarnation ||
        InSomeRoster(member)) {
      continue;
    }
    if (found->second.stream.has_value()) observers_[member.worker] = found->second;
    members_.erase(found);
  }
}

bool Job::InSomeRoster(const MemberId& member) const {
  return std::any_of(chunks_.begin(), chunks_.end(),
                     [&](const ChunkRound& chunk) { return chunk.history().roster().Has(member); });
}

void Job::CloseLost(const JobRecovery& recovery, Actions& actions) {
  std::vector<std::string> lost_observers;
  for (auto* map : {&members_, &observers_}) {
    for (auto& [worker, state] : *map) {
      if (state.left) continue;
      const MemberId member = {worker, state.incarnation};
      absl::Status lost;
      v1::Hello claims;
      for (size_t i = 0; i < chunks_.size(); ++i) {
        absl::optional<v1::Entry> head = recovery.chunks()[i].HeadOf(member);
        if (!head.has_value()) continue;
        if (!chunks_[i].history().LeadsOnFrom(*head)) {
          lost.Update(LostTrackError(chunks_[i].chunk(), *head));
        }
        v1::ChunkProgress& progress = *claims.add_chunks();
        progress.set_chunk(chunks_[i].chunk());
        *progress.mutable_head() = *std::move(head);
      }
      if (lost.ok()) continue;
      if (state.came_to_leave) {
        CloseMember(state, lost, actions);
      } else {
        SendAway(member, state, claims, lost, actions);
      }
      if (map == &observers_) lost_observers.push_back(worker);
    }
  }
  for (const std::string& worker : lost_observers) {
    DropObserver(worker, absl::OkStatus(), actions);
  }
}

void Job::SendAway(const MemberId& member, MemberState& state, const v1::Hello& claims,
                   const absl::Status& why, Actions& actions) {
  if (state.stream.has_value()) SendFenced(*state.stream, member, claims, {}, actions);
  CloseMember(state, why, actions);
  FenceStranger(member);
}

void Job::FenceStranger(const MemberId& member) {
  if (InSomeRoster(member)) return;
  uint64_t& fence = fences_[member.worker];
  fence = std::max(fence, member.incarnation);
}

void Job::ReturnIdleMembers(absl::Time now, Actions& actions) {
  const absl::Duration grace = std::max(kShortestGrace, 2 * round_times_.Median());
  for (ChunkRound& chunk : chunks_) {
    if (chunk.ReturnIdle(now, grace)) SealIfReady(chunk, now, actions);
  }
}

}  // namespace tally
