// What a job tells people: its status, and why it waits.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "aggregator/job.h"
#include "codecs/duration.h"

namespace tally {
namespace {

constexpr absl::Duration kWorthTelling = absl::Seconds(1);

std::string Seconds(absl::Duration duration) {
  return absl::StrFormat("%.1f s", absl::ToDoubleSeconds(duration));
}

v1::ChunkPhase PhaseOf(const ChunkRound& chunk) {
  switch (chunk.phase()) {
    case ChunkRound::Phase::kForming:
      return v1::CHUNK_PHASE_FORMING;
    case ChunkRound::Phase::kOpen:
      return v1::CHUNK_PHASE_OPEN;
    case ChunkRound::Phase::kSealed:
      return v1::CHUNK_PHASE_SEALED;
  }
  return v1::CHUNK_PHASE_UNSPECIFIED;
}

}  // namespace

std::vector<std::string> Job::ConnectedWorkers() const {
  std::vector<std::string> workers;
  for (const auto& [worker, state] : members_) {
    if (state.stream.has_value()) workers.push_back(worker);
  }
  return workers;
}

std::string Job::DescribeMissing(const ChunkRound& chunk, absl::Time now) const {
  constexpr size_t kNamed = 4;
  std::vector<std::string> parts;
  const std::vector<MemberId> missing = chunk.missing();
  for (const MemberId& member : missing) {
    if (parts.size() == kNamed) {
      parts.push_back(absl::StrCat(missing.size() - kNamed, " more"));
      break;
    }
    const auto found = members_.find(member.worker);
    if (found == members_.end()) continue;
    const MemberState& state = found->second;
    const std::string silence = Seconds(now - state.last_heard);
    std::string what = absl::StrCat("`", member.worker, "`");
    if (state.left) {
      absl::StrAppend(&what, ", which has left");
    } else if (!state.stream.has_value()) {
      absl::StrAppend(&what, ", disconnected and silent for ", silence);
    } else {
      absl::StrAppend(&what, ", silent for ", silence);
    }
    parts.push_back(std::move(what));
  }
  return absl::StrJoin(parts, "; ");
}

std::string Job::RecoveryReason(absl::Time now) const {
  const std::vector<MemberId> missing = recovery_->missing();
  return absl::StrCat("run ", description_->run, " is read back from its workers after a restart: ",
                      recovery_->num_recovered(), " of ", chunks_.size(), " chunks in ",
                      Seconds(now - created_at_), missing.empty() ? "" : "; waiting for ",
                      absl::StrJoin(missing, ", ", [](std::string* out, const MemberId& member) {
                        absl::StrAppend(out, "`", member.worker, "`");
                      }));
}

std::string Job::WaitReason(absl::Time now) const {
  if (recovery_.has_value()) return RecoveryReason(now);
  const std::set<std::string> holders = saved_.Awaited();
  if (!formed_ && !holders.empty()) {
    return absl::StrCat("run ", description_->run, " has not started: ", saved_.num_missing(),
                        " saved residuals have not come from ", absl::StrJoin(holders, ", "),
                        " after ", Seconds(now - created_at_));
  }
  if (!formed_) {
    return absl::StrCat("run ", description_->run, " has not started: ", members_.size(), " of ",
                        description_->expected_workers, " workers are here (",
                        absl::StrJoin(ConnectedWorkers(), ", "), ") after ",
                        Seconds(now - created_at_));
  }
  if (chunks_.empty()) return "";  // Fewer chunks than aggregators.
  const ChunkRound& chunk = chunks_[frontier_index_];
  if (chunk.phase() == ChunkRound::Phase::kSealed || now - chunk.opened_at() < kWorthTelling) {
    return "";
  }
  const size_t roster_size = chunk.history().roster().size();
  return absl::StrCat(PlaceName(chunk.place()), ", chunk ", chunk.chunk(), ": waiting for ",
                      roster_size - chunk.num_arrived() == 1 ? "worker " : "workers ",
                      DescribeMissing(chunk, now), "; ", chunk.num_arrived(), " of ", roster_size,
                      " arrived in ", Seconds(now - chunk.opened_at()));
}

v1::JobStatus Job::Status(absl::Time now) const {
  v1::JobStatus status;
  status.set_job(description_->job);
  status.set_run(description_->run);
  const auto describe = [now](const std::string& worker, const MemberState& state,
                              v1::MemberStatus& member) {
    *member.mutable_member() = EncodeMember({worker, state.incarnation});
    member.set_connected(state.stream.has_value());
    *member.mutable_silent_for() = EncodeDuration(now - state.last_heard);
  };
  for (const auto& [worker, state] : members_) describe(worker, state, *status.add_members());
  for (const auto& [worker, state] : observers_) describe(worker, state, *status.add_observers());
  for (const ChunkRound& chunk : chunks_) {
    if (formed_ && chunk.place().round != frontier_round_) continue;
    v1::ChunkStatus& message = *status.add_chunks();
    message.set_chunk(chunk.chunk());
    message.set_phase(PhaseOf(chunk));
    message.set_round(chunk.place().round);
    message.set_arrived(static_cast<uint32_t>(chunk.num_arrived()));
    message.set_roster_size(static_cast<uint32_t>(chunk.history().roster().size()));
    for (const MemberId& member : chunk.missing()) message.add_waiting_for(member.worker);
    *message.mutable_waiting_since() =
        EncodeDuration(now - (formed_ ? chunk.opened_at() : created_at_));
  }
  status.set_num_chunks(static_cast<uint32_t>(chunks_.size()));
  const std::string reason = WaitReason(now);
  status.set_reason(reason.empty() ? "running" : reason);
  for (const std::string& worker : drifted_) status.add_drifted(worker);
  status.set_admitted_bytes(admitted_bytes_);
  status.set_contributions_offered(counters_.offered);
  status.set_contributions_counted(counters_.counted);
  status.set_contributions_late(counters_.late);
  status.set_contributions_abstained(counters_.abstained);
  status.set_contributions_refused(counters_.refused);
  status.set_contributions_pending(counters_.offered - counters_.counted - counters_.late -
                                   counters_.abstained - counters_.refused);
  return status;
}

}  // namespace tally
