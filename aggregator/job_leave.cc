// How members leave a job, and hand over what they have not got across.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "aggregator/job.h"
#include "base/status_macros.h"
#include "codecs/duration.h"

namespace tally {
namespace {

// Longer than any hand-over may take.
constexpr absl::Duration kLongestStay = absl::Minutes(10);

}  // namespace

void Job::HandleLeave(const MemberId& member, const v1::Leave& leave, absl::Time now,
                      Actions& actions) {
  const uint64_t gone_from = leave.last_round() + 1;  // Of one that leaves before round 0: 0.
  Hear(member, gone_from, now);
  for (ChunkRound& chunk : chunks_) chunk.CancelActivation(member);
  MemberState* const leaver = FindState(member);
  if (leaver == nullptr || !formed_) return;
  leaver->left = true;
  leaver->gone_from = gone_from;
  leaver->stays_until = running_time_ + std::clamp(DecodeDuration(leave.deadline()),
                                                   absl::ZeroDuration(), kLongestStay);
  for (ChunkRound& chunk : chunks_) {
    chunk.Leave(member, gone_from, leave.has_deadline());
    SealIfReady(chunk, now, actions);
  }
  ReleaseLeavers(actions);
}

bool Job::somebody_stays() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const auto& entry) { return !entry.second.left && !entry.second.evicted; });
}

// While others go on, a crash must not lose what only the leaver could give: its last results,
// contributions that are in no snapshot yet, or the newest snapshot.
bool Job::IsNeeded(const MemberState& leaver) const {
  const auto lacks_results = [&leaver](const auto& entry) {
    const MemberState& other = entry.second;
    return !other.left && !other.evicted && other.open_round < leaver.gone_from;
  };
  const auto lacks_snapshot = [&leaver](const ChunkRound& chunk) {
    return chunk.needs_rounds_before(leaver.gone_from);
  };
  return running_time_ < leaver.stays_until ||
         std::any_of(members_.begin(), members_.end(), lacks_results) ||
         std::any_of(chunks_.begin(), chunks_.end(), lacks_snapshot);
}

void Job::ReleaseLeavers(Actions& actions) {
  const bool others_go_on = somebody_stays();
  for (auto& [worker, state] : members_) {
    if (!state.left || !state.stream.has_value()) continue;
    if (others_go_on && IsNeeded(state)) continue;
    CloseMember(state, absl::OkStatus(), actions);
  }
  std::vector<std::string> done;
  for (const auto& [worker, state] : observers_) {
    // Of others nobody needs anything.
    const bool was_member = state.came_to_leave;
    if (state.left && !(was_member && others_go_on && IsNeeded(state))) done.push_back(worker);
  }
  for (const std::string& worker : done) DropObserver(worker, absl::OkStatus(), actions);
}

void Job::NoteHeirs(const ChunkRound::Published& published) {
  for (const v1::Departure& left : published.left) {
    MemberState* const leaver = FindState({left.member().worker(), left.member().incarnation()});
    if (leaver == nullptr) continue;
    const uint32_t chunk = published.result->message.chunk();
    v1::Handover& note = leaver->heirs[chunk];
    note.set_chunk(chunk);
    *note.mutable_leaver() = left.member();
    note.set_heir(left.heir());
    note.set_after_chain(published.result->chain);
  }
}

void Job::SendHeirs(const MemberId& leaver, Actions& actions) const {
  const MemberState* const state = FindState(leaver);
  if (state == nullptr || !state->stream.has_value()) return;
  for (const auto& [chunk, note] : state->heirs) {
    SendControl send{.stream = *state->stream};
    *send.message.mutable_handover() = note;
    actions.push_back(std::move(send));
  }
}

void Job::RemindLeavers(const std::string& heir, Actions& actions) const {
  for (const auto* map : {&members_, &observers_}) {
    for (const auto& [worker, state] : *map) {
      const bool inherits =
          std::any_of(state.heirs.begin(), state.heirs.end(),
                      [&heir](const auto& note) { return note.second.heir() == heir; });
      if (inherits) SendHeirs({worker, state.incarnation}, actions);
    }
  }
}

absl::optional<StreamId> Job::StreamOfHeir(const std::string& worker) const {
  for (const auto* map : {&members_, &observers_}) {
    const auto found = map->find(worker);
    if (found != map->end() && found->second.stream.has_value()) return found->second.stream;
  }
  return absl::nullopt;
}

absl::Status Job::HandleHandover(const MemberId& leaver, v1::Handover handover, std::string piece,
                                 absl::Time now, Actions& actions) {
  Hear(leaver, 0, now);
  if (handover.chunk() >= description_->layout.chunks().size() ||
      !description_->Places(handover.chunk())) {
    return absl::InvalidArgumentError(absl::StrCat("`handover.chunk` = ", handover.chunk(),
                                                   ", must be one of this aggregator's"));
  }
  const MemberState* const state = FindState(leaver);
  if (state == nullptr || !state->left) {
    return absl::FailedPreconditionError(
        absl::StrCat("`handover` must come after `leave`, of which worker `", leaver.worker,
                     "` has said nothing here"));
  }
  const auto note = state->heirs.find(handover.chunk());
  if (note != state->heirs.end() && note->second.heir() != handover.heir()) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunk ", handover.chunk(), ": `handover.heir` = ", handover.heir(),
                     ", must be ", note->second.heir(), ", as the header says"));
  }
  const absl::optional<StreamId> heir = StreamOfHeir(handover.heir());
  TALLY_ASSIGN_OR_RETURN(const bool passes,
                         handovers_.Relay(leaver.worker, heir, handover, piece.size()));
  if (!passes) return absl::OkStatus();
  SendControl send{.stream = *heir};
  *handover.mutable_leaver() = EncodeMember(leaver);
  *send.message.mutable_handover() = std::move(handover);
  send.message.set_payload(std::move(piece));
  actions.push_back(std::move(send));
  return absl::OkStatus();
}

void Job::HandleHandoverAck(StreamId stream, const MemberId& heir, const v1::HandoverAck& ack,
                            absl::Time now, Actions& actions) {
  Hear(heir, 0, now);
  if (!handovers_.Acknowledge(ack.leaver().worker(), ack.chunk(), stream)) return;
  const absl::optional<StreamId> leaver =
      StreamOf({ack.leaver().worker(), ack.leaver().incarnation()});
  if (!leaver.has_value()) return;
  SendControl send{.stream = *leaver};
  *send.message.mutable_handover_ack() = ack;
  actions.push_back(std::move(send));
}

}  // namespace tally
