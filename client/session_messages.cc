// The messages that a session sends of its own accord.
#include "client/session.h"
#include "codecs/duration.h"
#include "codecs/limits.h"
#include "codecs/roster.h"

namespace tally {

v1::ClientMessage Session::HelloTo(size_t aggregator) const {
  v1::ClientMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_version(kProtocolVersion);
  hello.set_job(options_.job);
  hello.set_run(options_.run);
  hello.set_seed(options_.seed);
  *hello.mutable_member() = EncodeMember(identity_.member);
  if (leaving()) {
    hello.set_intent(v1::INTENT_LEAVING);
    hello.set_last_round(next_round_ - 1);
  } else if (newcomer_.has_value() || joined_state_.has_value()) {
    hello.set_intent(IsMemberAt(aggregator) ? v1::INTENT_MEMBER : v1::INTENT_OBSERVER);
  } else {
    const v1::Intent begins = resumed_.has_value() ? v1::INTENT_RESUME : v1::INTENT_START;
    hello.set_intent(HoldsHistory(aggregator) || started_ ? v1::INTENT_MEMBER : begins);
  }
  *hello.mutable_layout() = layout_;
  *hello.mutable_settings() = settings_;
  hello.set_initial_state_digest(identity_.genesis.initial_state_digest());
  for (const AggregatorAddress& address : options_.aggregators) {
    hello.add_aggregators(address.name);
  }
  hello.set_aggregator_index(static_cast<uint32_t>(aggregator));
  AddFences(*hello.mutable_fences());
  std::vector<Roster> last_rosters;
  for (size_t p = 0; p < aggregators_[aggregator].num_chunks; ++p) {
    const Chunk& chunk = ChunkAt(aggregator, p);
    if (!chunk.history.begun()) {
      if (!resumed_.has_value()) continue;
      v1::ChunkProgress& progress = *hello.add_chunks();
      progress.set_chunk(ChunkIndex(aggregator, p));
      TellSaved(ChunkIndex(aggregator, p), progress);
      continue;
    }
    // Chunks mostly share their rosters; large ones per chunk would not fit into the message.
    std::vector<Roster> rosters = chunk.archive.Rosters();
    if (rosters.empty()) rosters.push_back(chunk.history.roster());
    if (rosters != last_rosters) {
      for (const Roster& roster : rosters) {
        v1::Hello::EpochRoster& sent = *hello.add_rosters();
        sent.set_chunk(ChunkIndex(aggregator, p));
        sent.set_epoch(roster.epoch());
        for (const MemberId& member : roster.members()) *sent.add_roster() = EncodeMember(member);
      }
      last_rosters = std::move(rosters);
    }
    v1::ChunkProgress& progress = *hello.add_chunks();
    progress.set_chunk(ChunkIndex(aggregator, p));
    *progress.mutable_head() = chunk.history.Head();
    chunk.archive.Describe(progress);
    if (!chunk.open.has_value()) continue;
    progress.mutable_open()->set_round(chunk.open->message.round());
    progress.mutable_open()->set_half(chunk.open->message.half());
    progress.mutable_open()->set_payload_digest(chunk.open->message.payload_digest());
  }
  return message;
}

void Session::AddFences(google::protobuf::RepeatedPtrField<v1::Member>& fences) const {
  for (const auto& [worker, incarnation] : fences_) {
    *fences.Add() = EncodeMember({worker, incarnation});
  }
}

void Session::TellLate(uint32_t chunk, absl::Time now) {
  const size_t aggregator = chunk % aggregators_.size();
  Aggregator& state = aggregators_[aggregator];
  if (options_.max_late == 0 || state.told_late || !state.link.up()) return;
  state.told_late = true;
  v1::ClientMessage message = HeartbeatAt(now);
  *message.mutable_heartbeat()->mutable_late_by() = EncodeDuration(now - chunks_[chunk].applied_at);
  Send(aggregator, std::move(message), nullptr, now);
}

v1::LinkReport Session::Links() const {
  v1::LinkReport links;
  for (const Aggregator& aggregator : aggregators_) {
    v1::LinkReport::Link& link = *links.add_links();
    link.set_up(aggregator.link.up());
    link.set_let_go(aggregator.let_go);
    const bool complete = aggregator.first_missing == aggregator.num_chunks;
    link.set_open_round(round_.has_value() && !complete ? *round_ : next_round_);
  }
  return links;
}

v1::ClientMessage Session::HeartbeatAt(absl::Time now) const {
  v1::ClientMessage message;
  v1::Heartbeat& heartbeat = *message.mutable_heartbeat();
  *heartbeat.mutable_links() = Links();
  AddFences(*heartbeat.mutable_fences());
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    if (aggregators_[a].waiting_since == absl::InfiniteFuture()) continue;
    v1::Heartbeat::Wait& wait = *heartbeat.add_waits();
    wait.set_aggregator_index(static_cast<uint32_t>(a));
    wait.set_chunk(FirstAwaited(a));
    wait.set_round(*round_);
    const absl::Duration since = now - aggregators_[a].waiting_since;
    *wait.mutable_since() = EncodeDuration(since);
  }
  return message;
}

}  // namespace tally
