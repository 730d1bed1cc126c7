// How members leave a job, and hand over what they have not got across.
#include <algorithm>
#include <string>
#include <utility>

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
  const auto observer = observers_.find(member.worker);
  if (observer != observers_.end() && observer->second.incarnation == member.incarnation) {
    return DropObserver(member.worker, absl::OkStatus(), actions);
  }
  const auto found = members_.find(member.worker);
  if (found == members_.end() || !formed_) return;
  found->second.left = true;
  found->second.gone_from = gone_from;
  found->second.stays_until = running_time_ + std::clamp(DecodeDuration(leave.deadline()),
                                                         absl::ZeroDuration(), kLongestStay);
  for (ChunkRound& chunk : chunks_) {
    chunk.Leave(member, gone_from);
    SealIfReady(chunk, now, actions);
  }
  ReleaseLeavers(actions);
}

bool Job::somebody_stays() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const auto& entry) { return !entry.second.left && !entry.second.evicted; });
}

void Job::ReleaseLeavers(Actions& actions) {
  const bool has_heirs = somebody_stays();
  for (auto& [worker, leaver] : members_) {
    if (!leaver.left || !leaver.stream.has_value()) continue;
    const bool is_needed =
        std::any_of(members_.begin(), members_.end(), [&leaver = leaver](const auto& entry) {
          return !entry.second.left && !entry.second.evicted &&
                 entry.second.open_round < leaver.gone_from;
        });
    const bool hands_over = has_heirs && running_time_ < leaver.stays_until;
    if (!is_needed && !hands_over) CloseMember(leaver, absl::OkStatus(), actions);
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

void Job::HandleHandoverAck(const MemberId& heir, const v1::HandoverAck& ack, absl::Time now,
                            Actions& actions) {
  Hear(heir, 0, now);
  if (!handovers_.Acknowledge(ack.leaver().worker(), ack.chunk())) return;
  const absl::optional<StreamId> leaver =
      StreamOf({ack.leaver().worker(), ack.leaver().incarnation()});
  if (!leaver.has_value()) return;
  SendControl send{.stream = *leaver};
  *send.message.mutable_handover_ack() = ack;
  actions.push_back(std::move(send));
}

}  // namespace tally
