// How a session comes into a run that goes on, and how it helps others to.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "client/session.h"

namespace tally {
namespace {

// More than any method's replicated state: parameters and moments of every element, and what goes
// with them.
constexpr uint64_t kMaxStateBytesPerElement = 64;
constexpr uint64_t kMaxOtherStateBytes = uint64_t{64} << 20;

}  // namespace

bool Session::IsMemberAt(size_t aggregator) const {
  for (size_t p = 0; p < aggregators_[aggregator].num_chunks; ++p) {
    if (ChunkAt(aggregator, p).history.roster().Has(identity_.member)) return true;
  }
  return false;
}

bool Session::IsMember() const {
  return std::any_of(chunks_.begin(), chunks_.end(), [this](const Chunk& chunk) {
    return chunk.history.roster().Has(identity_.member);
  });
}

bool Session::takes_part() const {
  // If the others have closed the next round nobody waits: a late worker catches up.
  const bool is_over =
      started_ && std::all_of(chunks_.begin(), chunks_.end(), [this](const Chunk& chunk) {
        return chunk.history.IsOver(next_round_);
      });
  return !is_over && IsMember();
}

bool Session::takes_part_in_all() const {
  return std::all_of(chunks_.begin(), chunks_.end(), [this](const Chunk& chunk) {
    return chunk.history.roster().Has(identity_.member);
  });
}

void Session::EngageNewcomer() {
  newcomer_.emplace(
      identity_.member, chunks_.size(), aggregators_.size(),
      kMaxStateBytesPerElement * options_.layout->num_elements() + kMaxOtherStateBytes,
      options_.aggregator_timeout);
}

void Session::BecomeNewcomer(uint64_t fence, absl::Time now) {
  identity_.member.incarnation =
      std::max({static_cast<uint64_t>(std::max<int64_t>(1, absl::ToUnixMicros(now))),
                identity_.member.incarnation + 1, fence + 1});
  identity_.watches = true;
  resumed_.reset();
  missing_genesis_ = chunks_.size();
  MakeChunks();
  EngageNewcomer();
  for (size_t a = 0; a < aggregators_.size(); ++a) {
    AggregatorLink& link = aggregators_[a].link;
    if (link.state() == AggregatorLink::State::kDown) continue;
    link.Cut();
    actions_.emplace_back(CutStream{a});
  }
}

void Session::Watch(size_t aggregator, const v1::Welcome& welcome, absl::Time now) {
  for (const v1::Welcome::ChunkState& state : welcome.chunks()) {
    if (state.chunk() >= chunks_.size() || state.chunk() % aggregators_.size() != aggregator) {
      return OnBadMessage(aggregator, absl::DataLossError(absl::StrCat(
                                          "`welcome.chunks.chunk` = ", state.chunk(),
                                          ", must be a chunk that this aggregator holds")));
    }
    newcomer_->Watch(state.chunk(), state.has_head() ? absl::make_optional(state.head())
                                                     : absl::optional<v1::Entry>());
  }
  AskForState(now);
}

void Session::AskForState(absl::Time now) {
  const absl::optional<Newcomer::Ask> ask = newcomer_->NextAsk(now);
  if (!ask.has_value()) return;
  if (!aggregators_[ask->aggregator].link.up()) return newcomer_->AskFailed(now);
  v1::ClientMessage message;
  *message.mutable_state_request() = ask->request;
  Send(ask->aggregator, std::move(message), nullptr, now);
}

void Session::OnStatePart(size_t aggregator, const v1::StatePart& part, absl::string_view piece,
                          absl::Time now) {
  if (!failure_.ok() || !newcomer_.has_value() || IsCut(aggregator)) return;
  const absl::Status status = newcomer_->Take(part, piece, now);
  if (!status.ok()) return OnBadMessage(aggregator, status);
  if (part.has_slice()) start_deadline_ = now + options_.start_timeout;
  AskForState(now);
  if (newcomer_->complete()) StartFrom(now);
}

void Session::StartFrom(absl::Time now) {
  joined_state_ = newcomer_->TakeState();
  std::vector<CheckedResult> results = newcomer_->TakeResults();
  newcomer_.reset();
  for (const CheckedResult& result : results) {
    if (result.payload != nullptr) early_results_.GrantBacklog(result.payload->size());
  }
  identity_.genesis.set_initial_state_digest(joined_state_->initial_state_digest);
  for (size_t chunk = 0; chunk < chunks_.size(); ++chunk) {
    const SharedState::ChunkEnd& end = joined_state_->chunks[chunk];
    chunks_[chunk].history.BeginAfter(end.place, end.chain, end.roster);
    chunks_[chunk].archive.BeginWithoutFloor();
  }
  missing_genesis_ = 0;
  next_round_ = joined_state_->round + 1;
  started_ = true;
  actions_.emplace_back(RunStarted{});
  for (CheckedResult& result : results) {
    if (!failure_.ok() || evicted()) return;
    const size_t aggregator = result.header.chunk() % aggregators_.size();
    Apply(aggregator, std::move(result), now);
  }
}

void Session::ActivateIfLevel(absl::Time now) {
  if (options_.entry == RunEntry::kWatch || !early_results_.empty()) return;
  // Two rounds after the one that it asked for nothing has come of it: then it asks again.
  if (activate_round_.has_value() && *round_ <= *activate_round_ + 2) return;
  if (takes_part_in_all()) return;
  activate_round_ = *round_ + 2;
  for (size_t a = 0; a < aggregators_.size(); ++a) SendActivate(a, now);
}

void Session::SendActivate(size_t aggregator, absl::Time now) {
  if (!aggregators_[aggregator].link.takes_contributions()) return;
  v1::ClientMessage message;
  message.mutable_activate()->set_round(*activate_round_);
  Send(aggregator, std::move(message), nullptr, now);
}

void Session::OnStateRequest(size_t aggregator, const v1::StateRequest& request, absl::Time now) {
  if (!failure_.ok() || IsCut(aggregator)) return;
  if (options_.elastic && started_ && !leaving() && !evicted()) {
    return SendParts(donor_.Request(aggregator, request, now), now);
  }
  v1::ClientMessage message;
  message.mutable_state_part()->set_id(request.id());
  Send(aggregator, std::move(message), nullptr, now);
}

bool Session::state_wanted() const {
  return failure_.ok() && !evicted() && started_ && !leaving() && missing_results_ == 0 &&
         donor_.wanted(next_round_);
}

absl::Status Session::GiveState(SharedBuffer bytes, absl::Time now) {
  TALLY_RETURN_IF_ERROR(CheckUsable());
  if (missing_results_ > 0) return MissingResultsError();
  const absl::optional<v1::StatePart> head = StateHead();
  if (!head.has_value()) {
    // Others are too far ahead: somebody else gives it.
    SendParts(donor_.Decline(), now);
    return absl::OkStatus();
  }
  v1::StatePart first = *head;
  first.set_payload_digest(Digest64(bytes->bytes()));
  SendParts(donor_.Give(first, std::move(bytes), next_round_), now);
  return absl::OkStatus();
}

absl::optional<v1::StatePart> Session::StateHead() const {
  v1::StatePart head;
  head.set_round(next_round_ - 1);
  head.set_initial_state_digest(identity_.genesis.initial_state_digest());
  Roster last;
  for (size_t chunk = 0; chunk < chunks_.size(); ++chunk) {
    const ChunkHistory& history = chunks_[chunk].history;
    const std::deque<ChunkArchive::Entry>& entries = chunks_[chunk].archive.entries();
    Place place;
    Roster roster;
    if (history.next() == Place{next_round_, 0}) {
      place = {history.Head().round(), history.Head().half()};
      head.add_chains(history.chain());
      roster = history.roster();
    } else {
      const auto entry = std::find_if(
          entries.rbegin(), entries.rend(),
          [this](const ChunkArchive::Entry& kept) { return kept.place.round == next_round_ - 1; });
      if (entry == entries.rend()) return absl::nullopt;
      place = entry->place;
      head.add_chains(entry->chain);
      roster = entry->roster;
    }
    head.add_halves(place.half);
    if (chunk > 0 && roster == last) continue;
    v1::StatePart::ChunkRoster& message = *head.add_rosters();
    message.set_chunk(static_cast<uint32_t>(chunk));
    message.set_epoch(roster.epoch());
    for (const MemberId& member : roster.members()) *message.add_members() = EncodeMember(member);
    last = std::move(roster);
  }
  return head;
}

void Session::SendParts(std::vector<StateDonor::Part> parts, absl::Time now) {
  for (StateDonor::Part& part : parts) {
    if (!aggregators_[part.aggregator].link.up()) continue;
    v1::ClientMessage message;
    *message.mutable_state_part() = std::move(part.message);
    message.set_payload(std::move(part.piece));
    Send(part.aggregator, std::move(message), nullptr, now);
  }
}

}  // namespace tally
