// How a session ends whose worker was evicted while its process lives.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/variant.h"
#include "client/session.h"
#include "codecs/exchange.h"
#include "codecs/limits.h"
#include "codecs/place.h"

namespace tally {
namespace {

// Longer than an aggregator takes to come back, or a stream to be opened again.
constexpr absl::Duration kSettleTimeout = absl::Seconds(10);

// Whether the entry with that header exchanged signs of the same segments.
bool HasSameSigns(const std::string& header, const UndoneContribution& own, const Layout& layout) {
  v1::ResultHeader before;
  if (!before.ParseFromString(header) || !before.has_exchange()) return false;
  const absl::StatusOr<Exchange> exchange = DecodeExchange(before.exchange(), layout, own.chunk);
  const auto* const theirs = exchange.ok() ? absl::get_if<SignExchange>(&exchange->kind) : nullptr;
  const auto* const signs = absl::get_if<SignExchange>(&own.exchange.kind);
  return theirs != nullptr && signs != nullptr && theirs->granularity == signs->granularity;
}

}  // namespace

void Session::LearnEvicted(const std::string& why, absl::Time now) {
  if (evicted()) return;
  const MemberId& self = identity_.member;
  eviction_ = absl::AbortedError(absl::StrCat(why, "worker `", self.worker, "`/", self.incarnation,
                                              " was evicted: it must come anew"));
  settle_deadline_ = now + kSettleTimeout;
  uint64_t& fence = fences_[self.worker];
  fence = std::max(fence, self.incarnation);
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    aggregators_[a].num_watching = 0;
    aggregators_[a].waiting_since = absl::InfiniteFuture();
    // It tells what it counts when it knows that this incarnation is dead.
    if (aggregators_[a].link.up()) Send(a, HeartbeatAt(now), nullptr, now);
  }
  for (uint32_t chunk = 0; round_.has_value() && chunk < chunks_.size(); ++chunk) {
    const Chunk& state = chunks_[chunk];
    if (state.open.has_value() && !state.open->was_sent) Settle(chunk, /*counted=*/false);
    const bool has_put_in = state.contributed_halves > 0;
    if (has_put_in && !state.open.has_value() && state.watching) {
      DeliverSettled(chunk, {*round_, state.contributed_halves - 1}, /*counted=*/false);
    }
  }
  for (Chunk& chunk : chunks_) chunk.watching = false;
}

bool Session::settled() const {
  return evicted() && (settle_deadline_ == absl::InfiniteFuture() || told_by_all());
}

bool Session::told_by_all() const {
  return std::all_of(aggregators_.begin(), aggregators_.end(), [](const Aggregator& aggregator) {
    return aggregator.link.state() == AggregatorLink::State::kEnded;
  });
}

void Session::OnFenced(size_t aggregator, const v1::Welcome& welcome, absl::Time now) {
  AggregatorLink& link = aggregators_[aggregator].link;
  const MemberId& self = identity_.member;
  std::vector<const v1::Welcome::ChunkState*> own;
  for (const v1::Welcome::ChunkState& state : welcome.chunks()) {
    const uint32_t chunk = state.chunk();
    if (chunk < chunks_.size() && chunk % aggregators_.size() == aggregator) own.push_back(&state);
  }
  if (leaving() && !aggregators_[aggregator].leaves_as_member) {
    // Nobody needs its memory.
    if (bequest_.has_value()) bequest_->GiveUp(aggregator);
    link.End();
    return EndIfLeft();
  }
  if (leaving()) {
    const auto undone = std::find_if(own.begin(), own.end(),
                                     [this](const auto* state) { return IsUndone(*state); });
    if (undone != own.end()) {
      const v1::Entry head = chunks_[(*undone)->chunk()].history.Head();
      return Fail(absl::DataLossError(absl::StrCat(
          link.Place(), ", chunk ", (*undone)->chunk(), ": a crash undid ",
          PlaceName({head.round(), head.half()}), ", which worker `", self.worker, "`/",
          self.incarnation, " alone has read, and it was evicted: the others' state is another")));
    }
    // It has all that it came for; what it had left is lost.
    if (bequest_.has_value()) bequest_->GiveUp(aggregator);
    link.End();
    return EndIfLeft();
  }
  // Otherwise the refusal that follows ends the session.
  if (!options_.elastic) return;
  if (welcome.fence().incarnation() > self.incarnation) {
    // Two processes that came again in turn would drive each other out for ever.
    return Fail(absl::FailedPreconditionError(
        absl::StrCat(link.Place(), ": worker `", self.worker, "`/", self.incarnation,
                     " was evicted: a newer process of it, ", welcome.fence().incarnation(),
                     ", is here or was")));
  }
  LearnEvicted(absl::StrCat(link.Place(), ": "), now);
  for (const v1::Welcome::ChunkState* const state : own) {
    FindUndone(*state);
    const Chunk& chunk = chunks_[state->chunk()];
    if (!chunk.open.has_value()) continue;
    const v1::Contribution& sent = chunk.open->message;
    // What builds on an entry that was undone counts nowhere.
    if (IsUndone(*state)) {
      Settle(state->chunk(), /*counted=*/false);
      continue;
    }
    if (!state->has_last_counted()) continue;
    const Place last = {state->last_counted().round(), state->last_counted().half()};
    const bool counted = PlaceIndex(last, options_.first_round) >=
                         PlaceIndex({sent.round(), sent.half()}, options_.first_round);
    Settle(state->chunk(), counted && !sent.abstain());
  }
  SettleUntold(aggregator);
  link.End();
}

bool Session::IsUndone(const v1::Welcome::ChunkState& state) const {
  const Chunk& chunk = chunks_[state.chunk()];
  if (!state.has_head() || !chunk.history.begun()) return false;
  const v1::Entry head = chunk.history.Head();
  return state.head().chain() != head.chain();
}

void Session::RememberCounted(Chunk& chunk, const CheckedResult& result) const {
  // Only who may come again can make use of it.
  if (!options_.elastic || !chunk.open.has_value() || !result.exchange.has_value()) return;
  const bool tells_what_left = absl::holds_alternative<SignExchange>(result.exchange->kind) ||
                               absl::holds_alternative<SparseExchange>(result.exchange->kind);
  chunk.counted.push_back({.chunk = result.header.chunk(),
                           .place = PlaceOf(result.header),
                           .exchange = *result.exchange,
                           .payload = tells_what_left ? chunk.open->payload : nullptr});
  // Where all wait for each other nobody is further ahead than one entry. Alone among observers, or
  // as a minority, one may be: those are counted, if not put back.
  const size_t kept = options_.max_late == 0 ? 1 : kMaxRoundsBehind;
  constexpr size_t kCounted = 64;
  if (chunk.counted.size() > kept) {
    chunk.counted[chunk.counted.size() - 1 - kept].payload = nullptr;
  }
  if (chunk.counted.size() > kCounted) chunk.counted.pop_front();
}

void Session::FindUndone(const v1::Welcome::ChunkState& state) {
  const Chunk& chunk = chunks_[state.chunk()];
  const auto index_of = [this](const auto& entry) {
    return PlaceIndex({entry.round(), entry.half()}, options_.first_round);
  };
  const bool is_head_undone = IsUndone(state);
  for (const UndoneContribution& own : chunk.counted) {
    const uint64_t index = PlaceIndex(own.place, options_.first_round);
    const bool is_undone = state.has_last_counted()
                               ? index > index_of(state.last_counted())
                               : is_head_undone && index == index_of(chunk.history.Head());
    if (!is_undone) continue;
    ++counters_.undone_contributions;
    undone_.push_back(own);
    const ChunkArchive::Entry* const before = chunk.archive.EntryBefore(own.place);
    if (before != nullptr && HasSameSigns(before->header, own, *options_.layout)) {
      undone_.back().mean_before = before->result;
    }
  }
}

void Session::SettleUntold(size_t aggregator) {
  for (size_t p = 0; p < aggregators_[aggregator].num_chunks; ++p) {
    const uint32_t chunk = ChunkIndex(aggregator, p);
    if (!chunks_[chunk].open.has_value()) continue;
    const v1::Contribution& sent = chunks_[chunk].open->message;
    const bool may_count = chunks_[chunk].open->was_sent && !sent.abstain();
    if (may_count) ++counters_.unsettled_contributions;
    Settle(chunk, may_count);
  }
}

void Session::Settle(uint32_t chunk, bool counted) {
  const v1::Contribution& sent = chunks_[chunk].open->message;
  const Place place = {sent.round(), sent.half()};
  if (!counted && !sent.abstain()) ++counters_.missed_contributions;
  chunks_[chunk].open.reset();
  DeliverSettled(chunk, place, counted);
}

void Session::DeliverSettled(uint32_t chunk, const Place& place, bool counted) {
  ChunkResult result;
  result.chunk = chunk;
  result.round = place.round;
  result.half = place.half;
  result.counted = counted;
  result.settled = true;
  Deliver(std::move(result));
}

}  // namespace tally
