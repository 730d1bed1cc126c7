#include "tools/status_text.h"

#include <google/protobuf/duration.pb.h>

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/byte_size.h"

namespace tally {
namespace {

// Silence that is worth a word: workers give a sign of life every second.
constexpr absl::Duration kNoticedSilence = absl::Seconds(3);

// To the millisecond, and to the second from a minute on.
std::string FormatTime(const google::protobuf::Duration& message) {
  const absl::Duration time = absl::Seconds(message.seconds()) + absl::Nanoseconds(message.nanos());
  return absl::FormatDuration(
      absl::Trunc(time, time < absl::Minutes(1) ? absl::Milliseconds(1) : absl::Seconds(1)));
}

absl::string_view PhaseName(v1::ChunkPhase phase) {
  switch (phase) {
    case v1::CHUNK_PHASE_FORMING:
      return "forming";
    case v1::CHUNK_PHASE_OPEN:
      return "open";
    case v1::CHUNK_PHASE_SEALED:
      return "sealed";
    case v1::CHUNK_PHASE_RECOVERING:
      return "recovering";
    default:
      return "in a phase that this tool does not know";
  }
}

std::string FormatMember(const v1::MemberStatus& member) {
  const std::string& worker = member.member().worker();
  if (!member.connected()) return absl::StrCat(worker, " (not connected)");
  const absl::Duration silence =
      absl::Seconds(member.silent_for().seconds()) + absl::Nanoseconds(member.silent_for().nanos());
  if (silence < kNoticedSilence) return worker;
  return absl::StrCat(worker, " (silent for ", FormatTime(member.silent_for()), ")");
}

// Chunks that wait alike share a line.
struct ChunkGroup {
  uint64_t num_chunks = 0;
  google::protobuf::Duration longest_wait;
};

void AppendChunks(const v1::JobStatus& job, std::string* out) {
  using Key = std::tuple<uint64_t, uint32_t, int, uint32_t, uint32_t, std::string>;
  std::map<Key, ChunkGroup> groups;
  for (const v1::ChunkStatus& chunk : job.chunks()) {
    ChunkGroup& group = groups[{chunk.round(), chunk.half(), chunk.phase(), chunk.arrived(),
                                chunk.roster_size(), absl::StrJoin(chunk.waiting_for(), ", ")}];
    ++group.num_chunks;
    const auto time = [](const google::protobuf::Duration& wait) {
      return std::tuple(wait.seconds(), wait.nanos());
    };
    if (time(chunk.waiting_since()) > time(group.longest_wait)) {
      group.longest_wait = chunk.waiting_since();
    }
  }
  for (const auto& [key, group] : groups) {
    const auto& [round, half, phase, arrived, roster_size, waiting_for] = key;
    absl::StrAppend(out, "    ", group.num_chunks, " of ", job.num_chunks(), " chunks at round ",
                    round, half > 0 ? ", second half" : "", " (",
                    PhaseName(static_cast<v1::ChunkPhase>(phase)), "), ", arrived, " of ",
                    roster_size, " contributions there");
    if (!waiting_for.empty()) {
      absl::StrAppend(out, "; waiting for ", waiting_for, ", ", FormatTime(group.longest_wait),
                      " so far");
    }
    *out += "\n";
  }
}

void AppendJob(const v1::JobStatus& job, std::string* out) {
  absl::StrAppend(out, "  job ", job.job(), ", run ", job.run(), ": ", job.reason(), "\n");
  AppendChunks(job, out);
  const auto append = [](std::string* list, const v1::MemberStatus& member) {
    *list += FormatMember(member);
  };
  absl::StrAppend(out, "    members: ",
                  job.members().empty() ? "none" : absl::StrJoin(job.members(), ", ", append),
                  "\n");
  if (!job.observers().empty()) {
    absl::StrAppend(out, "    observers: ", absl::StrJoin(job.observers(), ", ", append), "\n");
  }
  if (!job.drifted().empty()) {
    absl::StrAppend(out, "    drifted away: ", absl::StrJoin(job.drifted(), ", "),
                    ": their replicated state is another than that of most\n");
  }
  absl::StrAppend(out, "    contributions: ", job.contributions_offered(), " offered, ",
                  job.contributions_counted(), " counted, ", job.contributions_late(), " late, ",
                  job.contributions_abstained(), " abstained, ", job.contributions_refused(),
                  " refused, ", job.contributions_pending(), " pending\n");
  absl::StrAppend(out, "    memory: ", FormatByteSize(job.admitted_bytes()), "\n");
}

}  // namespace

std::string FormatStatus(const v1::GetStatusResponse& status) {
  std::string text = absl::StrCat(
      status.aggregator(), ": up ", FormatTime(status.uptime()), ", memory ",
      FormatByteSize(status.admitted_bytes()), " of ", FormatByteSize(status.memory_limit_bytes()),
      " admitted, back end ", status.backend(), status.draining() ? ", draining" : "", "\n");
  if (status.jobs().empty()) text += "  no jobs\n";
  for (const v1::JobStatus& job : status.jobs()) AppendJob(job, &text);
  return text;
}

}  // namespace tally
