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

absl::Status Job::LostTrackError(uint32_t chunk, const v1::Entry& head) {
  return absl::AbortedError(
      absl::StrCat("`chunks[", chunk, "].head` = ", PlaceName({head.round(), head.half()}),
                   ", chain ", absl::Hex(head.chain()),
                   ", must lead on to the present: this worker has lost track and must come anew"));
}

bool Job::MustObserve(const MemberId& member, const v1::Hello& hello) const {
  const auto found = members_.find(member.worker);
  const bool is_member = formed_ && found != members_.end() &&
                         found->second.incarnation == member.incarnation && !found->second.evicted;
  if (is_member || chunks_.empty()) return false;
  if (hello.intent() == v1::INTENT_OBSERVER) return true;
  if (!formed_) return false;
  if (hello.intent() != v1::INTENT_MEMBER) return true;
  // It may have been returned to observer without knowing.
  const auto fence = fences_.find(member.worker);
  return HoldsHistory(hello) && (fence == fences_.end() || fence->second < member.incarnation) &&
         IncarnationHere(member.worker) <= member.incarnation;
}

absl::Status Job::Observe(StreamId stream, const MemberId& member, const v1::Hello& hello,
                          v1::Welcome welcome, absl::Time now, Actions& actions) {
  uint64_t highest = 0;
  const auto fence = fences_.find(member.worker);
  if (fence != fences_.end()) highest = fence->second;
  const auto elder = members_.find(member.worker);
  if (elder != members_.end() && elder->second.incarnation >= member.incarnation) {
    highest = std::max(highest, elder->second.incarnation);
  }
  const auto other = observers_.find(member.worker);
  if (other != observers_.end() && other->second.incarnation > member.incarnation) {
    highest = std::max(highest, other->second.incarnation);
  }
  if (member.incarnation <= highest) {
    welcome.set_verdict(v1::Welcome::VERDICT_FENCED);
    *welcome.mutable_fence() = EncodeMember({member.worker, highest});
    SendControl send{.stream = stream};
    *send.message.mutable_welcome() = std::move(welcome);
    actions.push_back(std::move(send));
    return absl::AbortedError(absl::StrCat("`member.incarnation` = ", member.incarnation,
                                           ", must be later than ", highest, " of worker `",
                                           member.worker, "`"));
  }
  if (other == observers_.end() && observers_.size() >= kMaxObservers) {
    return absl::ResourceExhaustedError(
        absl::StrCat("`intent` = INTENT_OBSERVER, must be one of at most ", kMaxObservers));
  }
  std::vector<std::shared_ptr<const StoredResult>> missed;
  welcome.set_verdict(v1::Welcome::VERDICT_OBSERVER);
  welcome.set_window_chunks(window_chunks_);
  welcome.set_recovering(recovery_.has_value());
  for (const ChunkRound& chunk : chunks_) {
    v1::Welcome::ChunkState& state = *welcome.add_chunks();
    state.set_chunk(chunk.chunk());
    if (formed_) *state.mutable_head() = chunk.history().Head();
  }
  if (formed_) {
    TALLY_ASSIGN_OR_RETURN(missed, MissedByObserver(hello));
  }
  if (recovery_.has_value()) TALLY_RETURN_IF_ERROR(recovery_->Enter(member, hello));

  MemberState& state = observers_[member.worker];
  CloseMember(state,
              absl::AbortedError(absl::StrCat("worker `", member.worker,
                                              "` has opened another stream to this aggregator")),
              actions);
  state = {.incarnation = member.incarnation, .stream = stream};
  Hear(member, 0, now);
  actions.push_back(AcceptStream{stream, description_, member, std::move(welcome),
                                 MaxQueuedBytes(*description_)});
  for (std::shared_ptr<const StoredResult>& result : missed) {
    actions.push_back(SendResult{{stream}, std::move(result)});
  }
  LearnFences(hello.fences(), now, actions);
  EvictReplaced(now, actions);
  if (recovery_.has_value()) Recover(now, actions);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::shared_ptr<const StoredResult>>> Job::MissedByObserver(
    const v1::Hello& hello) const {
  std::vector<std::shared_ptr<const StoredResult>> missed;
  for (const v1::ChunkProgress& progress : hello.chunks()) {
    if (!progress.has_head()) continue;
    if (progress.chunk() >= description_->layout.chunks().size() ||
        !description_->Places(progress.chunk())) {
      return absl::InvalidArgumentError(absl::StrCat("`chunks.chunk` = ", progress.chunk(),
                                                     ", must be one of this aggregator's"));
    }
    const ChunkLog& history =
        chunks_[progress.chunk() / description_->aggregators.size()].history();
    if (!history.LeadsOnFrom(progress.head()))
      return LostTrackError(progress.chunk(), progress.head());
    auto results = history.ResultsAfter(progress.head());
    std::move(results.begin(), results.end(), std::back_inserter(missed));
  }
  return missed;
}

uint64_t Job::IncarnationHere(const std::string& worker) const {
  uint64_t incarnation = 0;
  for (const std::map<std::string, MemberState>* map : {&members_, &observers_}) {
    const auto found = map->find(worker);
    if (found != map->end()) incarnation = std::max(incarnation, found->second.incarnation);
  }
  return incarnation;
}

void Job::EvictReplaced(absl::Time now, Actions& actions) {
  std::vector<MemberId> replaced;
  for (const auto& [worker, observer] : observers_) {
    const auto elder = members_.find(worker);
    if (elder != members_.end() && !elder->second.evicted &&
        elder->second.incarnation < observer.incarnation) {
      replaced.push_back({worker, elder->second.incarnation});
    }
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
                  absl::AbortedError("a newer process of this worker is here"), actions);
      members_.erase(member.worker);
    }
  }
}

void Job::HandleActivate(const MemberId& member, const v1::Activate& activate, absl::Time now) {
  Hear(member, 0, now);
  // What comes too early is repeated.
  if (!formed_) return;
  for (ChunkRound& chunk : chunks_) chunk.Activate(member, activate.round());
}

void Job::HandleStateRequest(const MemberId& newcomer, const v1::StateRequest& request,
                             absl::Time now, Actions& actions) {
  Hear(newcomer, 0, now);
  std::vector<MemberId> donors;
  for (const auto& [worker, state] : members_) {
    if (!state.stream.has_value() || state.left || state.evicted || !formed_) continue;
    donors.push_back({worker, state.incarnation});
  }
  const absl::optional<MemberId> donor = relay_.Request(newcomer, request, donors);
  SendControl send;
  absl::optional<StreamId> stream;
  if (donor.has_value()) {
    stream = StreamOf(*donor);
    *send.message.mutable_state_request() = request;
    *send.message.mutable_state_request()->mutable_newcomer() = EncodeMember(newcomer);
  } else {
    stream = StreamOf(newcomer);
    send.message.mutable_state_part()->set_id(request.id());
  }
  if (!stream.has_value()) return;
  send.stream = *stream;
  actions.push_back(std::move(send));
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

void Job::ForgetInRelay(const MemberId& worker, Actions& actions) {
  for (const StateRelay::Orphan& orphan : relay_.Forget(worker)) {
    const absl::optional<StreamId> stream = StreamOf(orphan.newcomer);
    if (!stream.has_value()) continue;
    SendControl send{.stream = *stream};
    send.message.mutable_state_part()->set_id(orphan.id);
    actions.push_back(std::move(send));
  }
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
  for (std::map<std::string, MemberState>* map : {&members_, &observers_}) {
    for (auto& [worker, state] : *map) {
      for (size_t i = 0; i < chunks_.size(); ++i) {
        const absl::optional<v1::Entry> head =
            recovery.chunks()[i].HeadOf({worker, state.incarnation});
        if (!head.has_value() || chunks_[i].history().LeadsOnFrom(*head)) continue;
        CloseMember(state, LostTrackError(chunks_[i].chunk(), *head), actions);
        break;
      }
    }
  }
  for (auto entry = observers_.begin(); entry != observers_.end();) {
    entry = entry->second.stream.has_value() ? std::next(entry) : observers_.erase(entry);
  }
}

void Job::ReturnIdleMembers(absl::Time now, Actions& actions) {
  const absl::Duration grace = std::max(kShortestGrace, 2 * round_times_.Median());
  for (ChunkRound& chunk : chunks_) {
    if (chunk.ReturnIdle(now, grace)) SealIfReady(chunk, now, actions);
  }
}

}  // namespace tally
