// What a session does with results.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/session.h"

namespace tally {

void Session::OnResult(size_t aggregator, CheckedResult result, absl::Time now) {
  if (!failure_.ok() || evicted() || IsCut(aggregator)) return;
  const uint32_t index = result.header.chunk();
  if (!aggregators_[aggregator].link.up()) {
    return OnBadMessage(aggregator, absl::DataLossError("`result` must come after `welcome`"));
  }
  if (index % aggregators_.size() != aggregator) {
    return OnBadMessage(aggregator, absl::DataLossError(absl::StrCat(
                                        "`result.chunk` = ", index, ", must be a chunk that `",
                                        aggregators_[aggregator].link.name(), "` holds")));
  }
  if (leaving()) return TakeFarewell(aggregator, result, now);
  if (newcomer_.has_value()) {
    newcomer_->Store(std::move(result));
    return AskForState(now);
  }
  Apply(aggregator, std::move(result), now);
}

void Session::Apply(size_t aggregator, CheckedResult result, absl::Time now) {
  const uint32_t index = result.header.chunk();
  Chunk& chunk = chunks_[index];
  const bool watches = started_ && !chunk.history.roster().Has(identity_.member);
  if (watches && options_.elastic && chunk.history.IsOfAnotherHistory(result)) {
    // What it has read, or the state that it was given, is of a history that a minority played on.
    return LearnEvicted(absl::StrCat("chunk ", index, ": ", PlaceName(PlaceOf(result.header)),
                                     " does not follow what this observer has read; "),
                        now);
  }
  const bool is_custodian = IsCustodian(chunk.history, result);
  const absl::StatusOr<ChunkHistory::Applied> applied = chunk.history.Apply(result);
  if (!applied.ok()) return OnBadMessage(aggregator, applied.status());
  if (applied->duplicate) return;
  chunk.applied_at = now;
  if (applied->counted) RememberCounted(chunk, result);
  if (result.header.round() % kReplicaInterval == 0 && result.header.half() == 0 &&
      !result.header.has_genesis() && applied->counted) {
    drifted_.assign(result.advice.drifted().begin(), result.advice.drifted().end());
  }
  chunk.saved.reset();
  if (result.header.save()) {
    chunk.saved.emplace(Chunk::SavedEntry{
        .residual_norm = result.header.snapshot() ? result.header.residual_norm() : 0,
        .is_custodian = is_custodian});
  }
  const MemberId& self = identity_.member;
  bool was_evicted = false;
  for (const v1::Member& dead : result.header.evicted()) {
    uint64_t& fence = fences_[dead.worker()];
    fence = std::max(fence, dead.incarnation());
    was_evicted |= dead.worker() == self.worker && dead.incarnation() == self.incarnation;
  }
  if (applied->member) inheritances_.Read(result.header, result.chain, self, now);
  for (const v1::Member& returned : result.header.returned()) {
    if (returned.worker() == self.worker) activate_round_.reset();
  }
  const bool begins_with_residual =
      result.header.has_genesis() && resumed_.has_value() && result.header.residual_norm() > 0;
  if (begins_with_residual) chunk.archive.BeginWithoutFloor();
  Archive(*applied, result);
  if (begins_with_residual) KeepSaved(result.header, result.chain);
  if (result.header.has_genesis()) {
    --missing_genesis_;
    if (missing_genesis_ == 0) {
      started_ = true;
      actions_.emplace_back(RunStarted{});
    }
  } else {
    TakeResult(*applied, std::move(result));
  }
  Answered(aggregator, now);
  if (was_evicted && options_.elastic) {
    LearnEvicted(absl::StrCat("chunk ", index, ": "), now);
  } else if (was_evicted) {
    OnBadMessage(aggregator, absl::FailedPreconditionError(absl::StrCat(
                                 "chunk ", index, ": worker `", identity_.member.worker,
                                 "` was evicted: the run goes on without it")));
  }
}

void Session::Archive(const ChunkHistory::Applied& applied, const CheckedResult& result) {
  Chunk& chunk = chunks_[result.header.chunk()];
  ChunkArchive::Entry entry;
  entry.place = PlaceOf(result.header);
  entry.chain = result.chain;
  entry.header = result.header_bytes;
  entry.roster = chunk.history.roster();
  entry.result = result.payload;
  if (applied.counted && chunk.open.has_value() &&
      absl::holds_alternative<SignExchange>(result.exchange->kind)) {
    entry.contribution = chunk.open->message;
    entry.contribution_payload = chunk.open->payload;
  }
  chunk.archive.Append(std::move(entry));
  const v1::Entry& floor = result.advice.snapshot_floor();
  if (result.advice.has_snapshot_floor()) {
    chunk.archive.SetFloor({floor.round(), floor.half()}, floor.chain(),
                           result.advice.floor_is_zero());
  }
}

void Session::TakeResult(const ChunkHistory::Applied& applied, CheckedResult result) {
  Chunk& chunk = chunks_[result.header.chunk()];
  if (chunk.open.has_value()) {
    if (!applied.counted && !chunk.open->message.abstain()) ++counters_.missed_contributions;
    chunk.open.reset();
  }
  if (chunk.watching) {
    chunk.watching = false;
    --aggregators_[result.header.chunk() % aggregators_.size()].num_watching;
  }
  ChunkResult delivered;
  delivered.chunk = result.header.chunk();
  delivered.round = result.header.round();
  delivered.half = result.header.half();
  delivered.exchange = std::move(result.exchange);
  delivered.counted = applied.counted;
  delivered.num_participants = applied.num_participants;
  delivered.tracking_rebase = result.header.tracking_rebase();
  delivered.payload = std::move(result.payload);
  delivered.payload_digest = result.header.payload_digest();
  if (round_.has_value() && delivered.round == *round_) {
    Deliver(std::move(delivered));
    return;
  }
  const absl::Status added = early_results_.Add(std::move(delivered));
  if (!added.ok()) Fail(added);
}

void Session::Deliver(ChunkResult result) {
  Chunk& chunk = chunks_[result.chunk];
  if (chunk.contributed_halves <= result.half) {
    chunk.held.push_back(std::move(result));
    return;
  }
  const bool over = !result.exchange.has_value() || !HasSecondHalf(*result.exchange);
  if (over && --missing_results_ == 0) ++counters_.rounds;
  actions_.emplace_back(DeliverResult{std::move(result)});
}

void Session::DeliverHeld(Chunk& chunk) {
  for (ChunkResult& result : std::exchange(chunk.held, {})) Deliver(std::move(result));
}

void Session::Answered(size_t aggregator, absl::Time now) {
  Aggregator& state = aggregators_[aggregator];
  state.link.Progressed();
  while (round_.has_value() && state.first_missing < state.num_chunks &&
         ChunkAt(aggregator, state.first_missing).history.IsOver(*round_)) {
    ++state.first_missing;
  }
  state.waiting_since = absl::InfiniteFuture();
  SendWindow(aggregator, now);
}

}  // namespace tally
