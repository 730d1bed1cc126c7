// How workers come to a job: who may, as what, and what they are told.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "aggregator/admission.h"
#include "aggregator/job.h"
#include "base/status_macros.h"
#include "codecs/duration.h"

namespace tally {
namespace {

// A worker that comes as one that is leaving sends Leave when it has been welcomed.
constexpr absl::Duration kLeaveFollows = absl::Seconds(2);

}  // namespace

absl::Status Job::LostTrackError(uint32_t chunk, const v1::Entry& head) {
  return absl::AbortedError(
      absl::StrCat("`chunks[", chunk, "].head` = ", PlaceName({head.round(), head.half()}),
                   ", chain ", absl::Hex(head.chain()),
                   ", must lead on to the present: this worker has lost track and must come anew"));
}

absl::Status NotHereYetError(const JobDescription& description) {
  return absl::UnavailableError(
      absl::StrCat("run ", description.run, " of job `", description.job,
                   "` is not here (yet): `intent` = INTENT_OBSERVER must wait for its members"));
}

uint64_t Job::IncarnationHere(const std::string& worker) const {
  uint64_t incarnation = 0;
  for (const std::map<std::string, MemberState>* map : {&members_, &observers_}) {
    const auto found = map->find(worker);
    if (found != map->end()) incarnation = std::max(incarnation, found->second.incarnation);
  }
  return incarnation;
}

bool Job::MustObserve(const MemberId& member, const v1::Hello& hello) const {
  const auto found = members_.find(member.worker);
  const bool is_member = formed_ && found != members_.end() &&
                         found->second.incarnation == member.incarnation && !found->second.evicted;
  if (is_member || chunks_.empty()) return false;
  if (hello.intent() == v1::INTENT_OBSERVER) return true;
  if (!formed_) return false;
  if (!ClaimsMembership(hello)) return true;
  // It may have been returned to observer without knowing.
  const auto fence = fences_.find(member.worker);
  return HoldsHistory(hello) && (fence == fences_.end() || fence->second < member.incarnation) &&
         IncarnationHere(member.worker) <= member.incarnation;
}

absl::Status Job::CheckMayEnter(const MemberId& member, const v1::Hello& hello) const {
  const auto fence = fences_.find(member.worker);
  if (fence != fences_.end() && member.incarnation <= fence->second) {
    return absl::FailedPreconditionError(absl::StrCat("`member` = ", member.worker, "/",
                                                      member.incarnation, ", must be later than ",
                                                      fence->second, ": this worker was evicted"));
  }
  const auto known = members_.find(member.worker);
  if (known == members_.end()) {
    // Where there is nothing to exchange anybody may come.
    if (chunks_.empty()) return absl::OkStatus();
    if (formed_) {
      return absl::FailedPreconditionError(absl::StrCat(
          "`member.worker` = ", member.worker, ", must be one of the ", members_.size(),
          " that started run ", description_->run, " of job `", description_->job, "`"));
    }
    if (recovery_.has_value() || HoldsHistory(hello)) return absl::OkStatus();
    if (ClaimsMembership(hello)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "`intent` = ", v1::Intent_Name(hello.intent()), ", must be INTENT_START: run ",
          description_->run, " of job `", description_->job, "` has no history here"));
    }
    if (members_.size() == description_->expected_workers) {
      return absl::FailedPreconditionError(
          absl::StrCat("`member.worker` = ", member.worker, ", must be one of the ",
                       description_->expected_workers, " expected workers that are here already"));
    }
    return absl::OkStatus();
  }
  if (member.incarnation < known->second.incarnation) {
    return absl::AbortedError(absl::StrCat("`member.incarnation` = ", member.incarnation,
                                           ", must be the newest of worker `", member.worker, "`, ",
                                           known->second.incarnation));
  }
  if (formed_ && !chunks_.empty() && member.incarnation > known->second.incarnation) {
    return absl::FailedPreconditionError(absl::StrCat(
        "`member.incarnation` = ", member.incarnation, ", must be ", known->second.incarnation,
        ", with which worker `", member.worker, "` is a member of run ", description_->run));
  }
  return absl::OkStatus();
}

absl::Status Job::CheckMayObserve(StreamId stream, const MemberId& member, const v1::Hello& hello,
                                  v1::Welcome welcome, Actions& actions) const {
  const auto fence = fences_.find(member.worker);
  const uint64_t dead = fence == fences_.end() ? 0 : fence->second;
  const uint64_t here = IncarnationHere(member.worker);
  if (member.incarnation <= dead || member.incarnation < here) {
    SendFenced(stream, member, hello, std::move(welcome), actions);
    return absl::AbortedError(absl::StrCat("`member.incarnation` = ", member.incarnation,
                                           ", must be later than ", std::max(dead, here),
                                           " of worker `", member.worker, "`"));
  }
  // Starters are here alone; what it has seen of the run those who have taken part must tell.
  if (!formed_ && !recovery_.has_value() && HoldsHistory(hello)) {
    return NotHereYetError(*description_);
  }
  // A whole job may have been killed and started again: nobody is here who could give the state.
  if (hello.intent() != v1::INTENT_OBSERVER && !HoldsHistory(hello) && !connected()) {
    return absl::UnavailableError(absl::StrCat(
        "run ", description_->run, " of job `", description_->job,
        "` lives here, though its workers are gone: `intent` = ", v1::Intent_Name(hello.intent()),
        " must wait until one of them is back, or the run is forgotten"));
  }
  if (observers_.count(member.worker) == 0 && observers_.size() >= kMaxObservers) {
    return absl::ResourceExhaustedError(
        absl::StrCat("`intent` = INTENT_OBSERVER, must be one of at most ", kMaxObservers));
  }
  return absl::OkStatus();
}

void Job::SendFenced(StreamId stream, const MemberId& member, const v1::Hello& hello,
                     v1::Welcome welcome, Actions& actions) const {
  const auto fence = fences_.find(member.worker);
  const uint64_t dead = fence == fences_.end() ? 0 : fence->second;
  welcome.set_verdict(v1::Welcome::VERDICT_FENCED);
  *welcome.mutable_fence() = EncodeMember(
      {member.worker, std::max({dead, IncarnationHere(member.worker), member.incarnation})});
  std::map<uint32_t, Place> claimed;
  for (const v1::ChunkProgress& progress : hello.chunks()) {
    if (!progress.has_head()) continue;
    claimed[progress.chunk()] = {progress.head().round(), progress.head().half()};
  }
  for (size_t i = 0; formed_ && i < chunks_.size(); ++i) {
    const ChunkRound& chunk = chunks_[i];
    const absl::optional<Place> last = chunk.LastCounted(member);
    const auto claim = claimed.find(chunk.chunk());
    absl::optional<v1::Entry> head;
    if (claim != claimed.end()) {
      head = chunk.history().EntryAt(claim->second, description_->first_round);
    }
    if (!last.has_value() && !head.has_value()) continue;
    v1::Welcome::ChunkState& state = *welcome.add_chunks();
    state.set_chunk(chunk.chunk());
    if (head.has_value()) *state.mutable_head() = *std::move(head);
    if (!last.has_value()) continue;
    state.mutable_last_counted()->set_round(last->round);
    state.mutable_last_counted()->set_half(last->half);
  }
  SendControl send{.stream = stream};
  *send.message.mutable_welcome() = std::move(welcome);
  actions.push_back(std::move(send));
}

absl::StatusOr<std::vector<std::shared_ptr<const StoredResult>>> Job::MissedResults(
    const v1::Hello& hello, bool observes) const {
  std::map<uint32_t, const v1::Entry*> heads;
  for (const v1::ChunkProgress& progress : hello.chunks()) {
    if (progress.has_head()) heads[progress.chunk()] = &progress.head();
  }
  std::vector<std::shared_ptr<const StoredResult>> missed;
  const MemberId self = {hello.member().worker(), hello.member().incarnation()};
  for (const ChunkRound& chunk : chunks_) {
    const ChunkLog& history = chunk.history();
    const auto found = heads.find(chunk.chunk());
    if (found == heads.end()) {
      // Who begins with the others may have missed the genesis; a newcomer begins with the present.
      if (!observes) missed.push_back(history.newest());
      continue;
    }
    const v1::Entry& head = *found->second;
    if (history.LeadsOnFrom(head)) {
      auto results = history.ResultsAfter(head);
      std::move(results.begin(), results.end(), std::back_inserter(missed));
      continue;
    }
    // Who has left need not follow.
    if (hello.intent() == v1::INTENT_LEAVING && !history.roster().Has(self)) continue;
    const Place place = {head.round(), head.half()};
    if (observes || history.Contains(place, head.chain())) {
      return LostTrackError(chunk.chunk(), head);
    }
    return absl::FailedPreconditionError(
        absl::StrCat("`chunks[", chunk.chunk(), "].head` = ", PlaceName(place), ", chain ",
                     absl::Hex(head.chain()), ", must be in this aggregator's history"));
  }
  return missed;
}

absl::Status Job::HandleHello(StreamId stream, const MemberId& member, const v1::Hello& hello,
                              v1::Welcome welcome, absl::Time now, Actions& actions) {
  const bool observes = MustObserve(member, hello);
  const auto fence = fences_.find(member.worker);
  const bool is_dead = (fence != fences_.end() && member.incarnation <= fence->second) ||
                       (HoldsHistory(hello) && member.incarnation < IncarnationHere(member.worker));
  if (is_dead && recovery_.has_value() && HoldsHistory(hello)) {
    return absl::UnavailableError(
        absl::StrCat("`member` = ", member.worker, "/", member.incarnation,
                     " was evicted: what counts of it is known when the run has been read back"));
  }
  if (is_dead && !observes) SendFenced(stream, member, hello, welcome, actions);
  TALLY_RETURN_IF_ERROR(observes ? CheckMayObserve(stream, member, hello, welcome, actions)
                                 : CheckMayEnter(member, hello));
  std::vector<std::shared_ptr<const StoredResult>> missed;
  if (formed_) {
    auto results = MissedResults(hello, observes);
    if (absl::IsAborted(results.status()) && hello.intent() != v1::INTENT_LEAVING) {
      // It comes anew, and settles like one that was evicted. What it has sent on another stream
      // and is not here yet must not count.
      SendFenced(stream, member, hello, welcome, actions);
      MemberState* const state = FindState(member);
      if (state != nullptr) CloseMember(*state, results.status(), actions);
      FenceStranger(member);
    }
    TALLY_ASSIGN_OR_RETURN(missed, std::move(results));
  }
  const bool begins_recovery =
      !formed_ && !recovery_.has_value() && !observes && HoldsHistory(hello);
  // Everything is checked before anything changes.
  if (!formed_) TALLY_RETURN_IF_ERROR(saved_.Check(hello));
  if (recovery_.has_value() || begins_recovery) {
    TALLY_ASSIGN_OR_RETURN(JobRecovery::Claims claims,
                           JobRecovery::ReadClaims(*description_, hello));
    if (begins_recovery) BeginRecovery();
    recovery_->Enter(member, std::move(claims));
  }
  if (!formed_) saved_.Enter(member, hello);

  // Of its own older streams this worker expects nothing; an older process of it stops.
  const absl::Status replaced =
      IncarnationHere(member.worker) < member.incarnation
          ? absl::FailedPreconditionError("a newer process of this worker is here")
          : absl::AbortedError(absl::StrCat("worker `", member.worker,
                                            "` has opened another stream to this aggregator"));
  handovers_.Forget(member.worker);
  if (observes) DropObserver(member.worker, replaced, actions);
  MemberState& state = (observes ? observers_ : members_)[member.worker];
  CloseMember(state, replaced, actions);
  state.incarnation = member.incarnation;
  state.stream = stream;
  state.holds_history = HoldsHistory(hello);
  state.came_to_leave = hello.intent() == v1::INTENT_LEAVING;
  state.is_level = false;
  Hear(member, 0, now);

  welcome.set_verdict(observes ? v1::Welcome::VERDICT_OBSERVER : v1::Welcome::VERDICT_MEMBER);
  welcome.set_window_chunks(window_chunks_);
  welcome.set_recovering(recovery_.has_value());
  for (size_t i = 0; observes && i < chunks_.size(); ++i) {
    v1::Welcome::ChunkState& chunk = *welcome.add_chunks();
    chunk.set_chunk(chunks_[i].chunk());
    if (formed_) *chunk.mutable_head() = chunks_[i].history().Head();
  }
  actions.push_back(
      AcceptStream{stream, description_, member, std::move(welcome),
                   observes ? MaxQueuedBytes(*description_) : MaxMemberQueuedBytes(*description_)});
  for (std::shared_ptr<const StoredResult>& result : missed) {
    actions.push_back(SendResult{{stream}, std::move(result)});
  }
  for (const ChunkRound& chunk : chunks_) {
    const absl::optional<ResidualCustody::Order> order = chunk.SnapshotTo(member);
    if (order.has_value()) SendSnapshotTo(*order, actions);
  }
  LearnFences(hello.fences(), now, actions);
  EvictReplaced(now, actions);
  if (recovery_.has_value()) {
    Recover(now, actions);
  } else if (!formed_) {
    TryStart(now, actions);
  }
  RemindLeavers(member.worker, actions);
  if (hello.intent() != v1::INTENT_LEAVING) return absl::OkStatus();
  SendHeirs(member, actions);
  // The worker's own, which says how long it stays, follows.
  v1::Leave leave;
  leave.set_last_round(hello.last_round());
  *leave.mutable_deadline() = EncodeDuration(kLeaveFollows);
  HandleLeave(member, leave, now, actions);
  return absl::OkStatus();
}

}  // namespace tally
