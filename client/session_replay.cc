// What a session tells an aggregator that has lost a run's history, and what it holds for one.
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/session.h"

namespace tally {
namespace {

// Rounds are compared modulo 2^64: a genesis stands at the first round minus one.
bool RangeContains(const v1::RoundRange& range, uint64_t round) {
  return round - range.first() <= range.last() - range.first();
}

}  // namespace

void Session::OnNeed(size_t aggregator, const v1::Need& need, absl::Time now) {
  if (!failure_.ok() || IsCut(aggregator)) return;
  AggregatorLink& link = aggregators_[aggregator].link;
  if (!link.up()) {
    return OnBadMessage(aggregator, absl::DataLossError("`need` must come after `welcome`"));
  }
  if (need.kind() == v1::Need::KIND_OPEN_CONTRIBUTION) {
    link.Recovered();
    if (activate_round_.has_value()) SendActivate(aggregator, now);
    return leaving() ? WelcomeLeaver(aggregator, now) : SendWindow(aggregator, now);
  }
  const absl::Status status = Replay(aggregator, need, now);
  if (!status.ok()) OnBadMessage(aggregator, status);
}

absl::Status Session::Replay(size_t aggregator, const v1::Need& need, absl::Time now) {
  const uint32_t index = need.chunk();
  if (index >= chunks_.size() || index % aggregators_.size() != aggregator) {
    return absl::DataLossError(absl::StrCat("`need.chunk` = ", index, ", must be a chunk that `",
                                            aggregators_[aggregator].link.name(), "` holds"));
  }
  switch (need.kind()) {
    case v1::Need::KIND_RESULT:
    case v1::Need::KIND_HEADER:
    case v1::Need::KIND_CONTRIBUTION:
      for (const ChunkArchive::Entry& entry : chunks_[index].archive.entries()) {
        if (RangeContains(need.rounds(), entry.place.round)) {
          ReplayEntry(aggregator, index, need.kind(), entry, now);
        }
      }
      if (need.kind() == v1::Need::KIND_CONTRIBUTION && chunks_[index].open.has_value() &&
          RangeContains(need.rounds(), chunks_[index].open->message.round())) {
        ReplayOpen(aggregator, *chunks_[index].open, now);
      }
      return absl::OkStatus();
    case v1::Need::KIND_SNAPSHOT:
      if (!chunks_[index].history.begun() && resumed_.has_value() &&
          resumed_->chunks[index].snapshot != nullptr) {
        ReturnSnapshot(aggregator, index, SavedSnapshot(index), now);
      }
      for (const ChunkArchive::Snapshot& snapshot : chunks_[index].archive.snapshots()) {
        if (RangeContains(need.rounds(), snapshot.place.round)) {
          ReturnSnapshot(aggregator, index, snapshot, now);
        }
      }
      return absl::OkStatus();
    default:
      return absl::DataLossError(absl::StrCat("`need.kind` = ", static_cast<int>(need.kind()),
                                              ", must be one that this build knows"));
  }
}

void Session::ReplayEntry(size_t aggregator, uint32_t chunk, v1::Need::Kind kind,
                          const ChunkArchive::Entry& entry, absl::Time now) {
  v1::ClientMessage message;
  v1::Replay& replay = *message.mutable_replay();
  replay.set_chunk(chunk);
  replay.set_round(entry.place.round);
  replay.set_half(entry.place.half);
  replay.set_chain(entry.chain);
  SharedBuffer payload;
  if (kind == v1::Need::KIND_CONTRIBUTION) {
    if (!entry.contribution.has_value()) return;
    *replay.mutable_contribution() = *entry.contribution;
    payload = entry.contribution_payload;
  } else if (kind == v1::Need::KIND_HEADER) {
    replay.set_header(entry.header);
  } else {
    if (!entry.has_result) return;
    v1::Result& result = *replay.mutable_result();
    result.set_chunk(chunk);
    result.set_round(entry.place.round);
    result.set_half(entry.place.half);
    result.set_header(entry.header);
    payload = entry.result;
  }
  Send(aggregator, std::move(message), std::move(payload), now);
}

// Others may have its result already, which this worker lacks.
void Session::ReplayOpen(size_t aggregator, const OpenContribution& open, absl::Time now) {
  v1::ClientMessage message;
  v1::Replay& replay = *message.mutable_replay();
  replay.set_chunk(open.message.chunk());
  replay.set_round(open.message.round());
  replay.set_half(open.message.half());
  *replay.mutable_contribution() = open.message;
  Send(aggregator, std::move(message), open.payload, now);
}

void Session::ReturnSnapshot(size_t aggregator, uint32_t chunk,
                             const ChunkArchive::Snapshot& snapshot, absl::Time now) {
  v1::ClientMessage message;
  v1::ResidualSnapshot& returned = *message.mutable_residual_snapshot();
  returned.set_chunk(chunk);
  returned.set_round(snapshot.place.round);
  returned.set_half(snapshot.place.half);
  returned.set_chain(snapshot.chain);
  returned.set_payload_digest(snapshot.payload_digest);
  Send(aggregator, std::move(message), snapshot.payload, now);
}

void Session::OnSnapshot(size_t aggregator, const v1::ResidualSnapshot& snapshot,
                         SharedBuffer payload, absl::Time now) {
  if (!failure_.ok() || IsCut(aggregator)) return;
  const uint32_t index = snapshot.chunk();
  if (index % aggregators_.size() != aggregator || !aggregators_[aggregator].link.up()) {
    return OnBadMessage(aggregator,
                        absl::DataLossError(absl::StrCat(
                            "`residual_snapshot.chunk` = ", index, ", must be a chunk that `",
                            aggregators_[aggregator].link.name(), "` holds, after `welcome`")));
  }
  ChunkArchive::Snapshot kept;
  kept.place = {snapshot.round(), snapshot.half()};
  kept.chain = snapshot.chain();
  kept.payload = std::move(payload);
  kept.payload_digest = snapshot.payload_digest();
  // One of a history that is not this worker's is worth nothing; nobody is told that it is safe.
  if (!chunks_[index].archive.KeepSnapshot(std::move(kept))) return;
  v1::ClientMessage message;
  v1::ResidualSnapshotAck& ack = *message.mutable_residual_snapshot_ack();
  ack.set_chunk(index);
  ack.set_round(snapshot.round());
  ack.set_half(snapshot.half());
  ack.set_chain(snapshot.chain());
  Send(aggregator, std::move(message), nullptr, now);
}

}  // namespace tally
