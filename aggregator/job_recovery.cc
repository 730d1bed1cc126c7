#include "aggregator/job_recovery.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/variant.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace tally {
namespace {

using RosterGroup = std::map<uint64_t, Roster>;

// The rosters of a Hello: those for a chunk hold up to the next chunk for which some are given.
absl::StatusOr<std::map<uint32_t, RosterGroup>> ReadRosters(const v1::Hello& hello) {
  std::map<uint32_t, RosterGroup> groups;
  for (int i = 0; i < hello.rosters_size(); ++i) {
    const v1::Hello::EpochRoster& message = hello.rosters(i);
    std::vector<MemberId> members;
    for (const v1::Member& member : message.roster()) {
      TALLY_ASSIGN_OR_RETURN(MemberId decoded, DecodeMember(member));
      members.push_back(std::move(decoded));
    }
    absl::StatusOr<Roster> roster = Roster::Create(message.epoch(), std::move(members));
    if (!roster.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("`rosters[", i, "]`: ", roster.status().message()));
    }
    groups[message.chunk()][message.epoch()] = *std::move(roster);
  }
  return groups;
}

uint32_t ChunkOf(const Replayed& piece) {
  struct Reader {
    uint32_t operator()(const CheckedResult& result) const { return result.header.chunk(); }
    uint32_t operator()(const ReplayedHeader& header) const { return header.header.chunk(); }
    uint32_t operator()(const ReplayedContribution& replayed) const {
      return replayed.contribution.chunk;
    }
    uint32_t operator()(const ResidualSnapshot& snapshot) const { return snapshot.chunk; }
  };
  return absl::visit(Reader{}, piece);
}

// By worker.
std::vector<MemberId> UnionOf(const std::vector<ChunkRecovery>& chunks,
                              std::vector<MemberId> (ChunkRecovery::*list_of)() const) {
  std::map<std::string, MemberId> all;
  for (const ChunkRecovery& chunk : chunks) {
    for (MemberId& member : (chunk.*list_of)()) all[member.worker] = std::move(member);
  }
  std::vector<MemberId> list;
  for (auto& [worker, member] : all) list.push_back(std::move(member));
  return list;
}

}  // namespace

JobRecovery::JobRecovery(uint64_t job_serial, std::shared_ptr<const JobDescription> description,
                         uint32_t window_chunks)
    : description_(std::move(description)), max_folding_(window_chunks) {
  for (const uint32_t chunk : description_->OwnChunks()) {
    chunks_.emplace_back(job_serial, chunk, description_);
  }
}

ChunkRecovery& JobRecovery::Find(uint32_t chunk) {
  return chunks_[chunk / description_->aggregators.size()];
}

absl::StatusOr<JobRecovery::Claims> JobRecovery::ReadClaims(const JobDescription& description,
                                                            const v1::Hello& hello) {
  TALLY_ASSIGN_OR_RETURN(const auto groups, ReadRosters(hello));
  Claims claims;
  for (const v1::ChunkProgress& progress : hello.chunks()) {
    const uint32_t chunk = progress.chunk();
    if (chunk >= description.layout.chunks().size() || !description.Places(chunk)) {
      return absl::InvalidArgumentError(
          absl::StrCat("`chunks.chunk` = ", chunk, ", must be one of this aggregator's"));
    }
    ChunkClaim& claim = claims[chunk];
    claim.progress = progress;
    const auto group = groups.upper_bound(chunk);
    if (group != groups.begin()) claim.rosters = std::prev(group)->second;
    if (!progress.has_head()) continue;
    claim.head = progress.head();
    const auto roster = claim.rosters.find(progress.head().epoch());
    if (roster == claim.rosters.end()) {
      return absl::InvalidArgumentError(absl::StrCat("`chunks[", chunk,
                                                     "].head.epoch` = ", progress.head().epoch(),
                                                     ", must be that of one of `rosters`"));
    }
  }
  return claims;
}

void JobRecovery::Enter(const MemberId& member, Claims claims) {
  for (ChunkRecovery& chunk : chunks_) {
    chunk.SetClaim(member, std::move(claims[chunk.chunk()]));
  }
}

void JobRecovery::Withdraw(const MemberId& member) {
  for (ChunkRecovery& chunk : chunks_) chunk.Withdraw(member);
}

void JobRecovery::Evict(const MemberId& member) {
  for (ChunkRecovery& chunk : chunks_) chunk.Evict(member);
}

absl::Status JobRecovery::Take(const MemberId& member, Replayed piece) {
  return Find(ChunkOf(piece)).Take(member, std::move(piece));
}

void JobRecovery::TakeOutcome(const ExchangeOutcome& outcome) {
  Find(outcome.chunk).TakeOutcome(outcome);
}

JobRecovery::Work JobRecovery::Proceed() {
  Work work;
  size_t num_folding = 0;
  for (ChunkRecovery& chunk : chunks_) {
    ChunkRecovery::Work part = chunk.Proceed(num_folding < max_folding_);
    std::move(part.asks.begin(), part.asks.end(), std::back_inserter(work.asks));
    if (part.task.has_value()) work.tasks.push_back(*std::move(part.task));
    if (chunk.phase() == ChunkRecovery::Phase::kFolding) ++num_folding;
  }
  return work;
}

bool JobRecovery::done() const {
  bool some_history = chunks_.empty();
  for (const ChunkRecovery& chunk : chunks_) {
    if (chunk.awaits_outcome()) return false;
    if (!chunk.has_history()) continue;
    some_history = true;
    if (chunk.phase() != ChunkRecovery::Phase::kDone) return false;
  }
  return some_history;
}

std::vector<MemberId> JobRecovery::missing() const {
  return UnionOf(chunks_, &ChunkRecovery::missing);
}

std::vector<MemberId> JobRecovery::missing_members() const {
  return UnionOf(chunks_, &ChunkRecovery::missing_members);
}

size_t JobRecovery::num_recovered() const {
  return static_cast<size_t>(std::count_if(
      chunks_.begin(), chunks_.end(),
      [](const ChunkRecovery& chunk) { return chunk.phase() == ChunkRecovery::Phase::kDone; }));
}

const Roster& JobRecovery::roster_to_begin() const {
  for (const ChunkRecovery& chunk : chunks_) {
    if (chunk.has_history()) return *chunk.roster();
  }
  TALLY_CHECK(false, "some chunk has a history");
  return *chunks_.front().roster();
}

}  // namespace tally
