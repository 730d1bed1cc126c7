// How a session saves its run, and how it resumes a saved one.
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "client/session.h"
#include "codecs/custodians.h"

namespace tally {
namespace {

// It takes a round trip per chunk, if it comes.
constexpr absl::Duration kHandoverTakes = absl::Seconds(10);

}  // namespace

void Session::SaveNextRound() { save_announced_ = true; }

bool Session::IsCustodian(const ChunkHistory& history, const CheckedResult& result) const {
  if (!result.header.snapshot()) return false;
  const absl::StatusOr<std::vector<MemberId>> custodians =
      CustodiansAfter(history.roster(), result.header);
  return custodians.ok() && !custodians->empty() &&
         (*custodians)[FirstCustodian(result.chain, custodians->size())] == identity_.member;
}

const ChunkArchive::Snapshot* Session::SnapshotAtHead(const Chunk& chunk) {
  for (const ChunkArchive::Snapshot& snapshot : chunk.archive.snapshots()) {
    if (snapshot.chain == chunk.history.chain()) return &snapshot;
  }
  return nullptr;
}

absl::optional<uint32_t> Session::AwaitedSnapshot() const {
  for (size_t c = 0; c < chunks_.size(); ++c) {
    const Chunk& chunk = chunks_[c];
    if (chunk.saved.has_value() && chunk.saved->is_custodian && SnapshotAtHead(chunk) == nullptr) {
      return static_cast<uint32_t>(c);
    }
  }
  return absl::nullopt;
}

bool Session::AwaitsInheritance(absl::Time now) const {
  // Where rounds close without late workers there is no time: the others would be past this one.
  return options_.max_late == 0 && inheritances_.AwaitsAnySince(now - kHandoverTakes);
}

absl::Status Session::CheckSaveable() const {
  TALLY_RETURN_IF_ERROR(CheckUsable());
  if (missing_results_ > 0) return MissingResultsError();
  if (!takes_part_in_all()) {
    return absl::FailedPreconditionError(
        "this worker does not take part in all chunks (yet): it has nothing of its own to save");
  }
  for (size_t c = 0; c < chunks_.size(); ++c) {
    if (chunks_[c].saved.has_value()) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "chunk ", c, ": the round before ", next_round_,
        " was not announced by SaveNextRound, everybody abstained from it, or the others are past "
        "it: it cannot be saved"));
  }
  return absl::OkStatus();
}

absl::StatusOr<SavedRun> Session::SaveRun() const {
  TALLY_RETURN_IF_ERROR(CheckSaveable());
  const absl::optional<uint32_t> awaited = AwaitedSnapshot();
  if (awaited.has_value()) {
    return absl::DeadlineExceededError(absl::StrCat(
        "chunk ", *awaited, ": ", aggregators_[*awaited % aggregators_.size()].link.Place(),
        " has not sent the snapshot of its residual after round ", next_round_ - 1));
  }
  SavedRun run;
  run.worker = identity_.member.worker;
  run.next_round = next_round_;
  for (const Chunk& chunk : chunks_) {
    const v1::Entry head = chunk.history.Head();
    SavedRun::Chunk& saved = run.chunks.emplace_back();
    saved.place = {head.round(), head.half()};
    saved.chain = head.chain();
    saved.workers_digest = chunk.history.roster().WorkersDigest();
    saved.residual_norm = chunk.saved->residual_norm;
    const ChunkArchive::Snapshot* const snapshot = SnapshotAtHead(chunk);
    if (snapshot != nullptr) saved.snapshot = snapshot->payload;
  }
  run.inheritances = inheritances_.here();
  return run;
}

void Session::TellSaved(uint32_t chunk, v1::ChunkProgress& progress) const {
  const SavedRun::Chunk& saved = resumed_->chunks[chunk];
  v1::ChunkProgress::Saved& message = *progress.mutable_saved();
  message.mutable_head()->set_round(saved.place.round);
  message.mutable_head()->set_half(saved.place.half);
  message.mutable_head()->set_chain(saved.chain);
  message.set_residual_norm(saved.residual_norm);
  message.set_workers_digest(saved.workers_digest);
  message.set_holds_residual(saved.snapshot != nullptr);
}

ChunkArchive::Snapshot Session::SavedSnapshot(uint32_t chunk) const {
  const SavedRun::Chunk& saved = resumed_->chunks[chunk];
  return {.place = saved.place,
          .chain = saved.chain,
          .payload = saved.snapshot,
          .payload_digest = Digest64(saved.snapshot->bytes())};
}

void Session::KeepSaved(const v1::ResultHeader& genesis, uint64_t chain) {
  SavedRun::Chunk& saved = resumed_->chunks[genesis.chunk()];
  if (saved.snapshot == nullptr) return;
  ChunkArchive::Snapshot snapshot = SavedSnapshot(genesis.chunk());
  snapshot.place = PlaceOf(genesis);
  snapshot.chain = chain;
  chunks_[genesis.chunk()].archive.KeepSnapshot(std::move(snapshot));
  saved.snapshot = nullptr;
}

}  // namespace tally
