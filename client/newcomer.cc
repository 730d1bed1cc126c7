#include "client/newcomer.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/mix64.h"
#include "base/status_macros.h"
#include "codecs/limits.h"

namespace tally {
namespace {

// Between a donor that gives nothing and the next one.
constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(2);

absl::Status PartError(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("`state_part", what));
}

}  // namespace

Newcomer::Newcomer(MemberId self, size_t num_chunks, size_t num_aggregators,
                   uint64_t max_state_bytes, absl::Duration patience)
    : self_(std::move(self)),
      num_aggregators_(num_aggregators),
      max_state_bytes_(max_state_bytes),
      patience_(patience),
      chunks_(num_chunks) {}

void Newcomer::Watch(uint32_t chunk, const absl::optional<v1::Entry>& head) {
  Chunk& state = chunks_[chunk];
  state = Chunk();
  state.watched = true;
  // The state stands at the end of a round, so one of which a half is over must end after it.
  if (head.has_value()) state.min_next = head->round() + 1;
}

void Newcomer::Unwatch(uint32_t chunk, absl::Time now) {
  chunks_[chunk] = Chunk();
  if (id_ != 0) GiveUp(now);
}

void Newcomer::Store(CheckedResult result) {
  Chunk& chunk = chunks_[result.header.chunk()];
  if (!chunk.watched) return;
  if (!chunk.min_next.has_value()) {
    const bool begins_round = !result.header.has_genesis() && result.header.half() == 0;
    chunk.min_next = begins_round ? result.header.round() : result.header.round() + 1;
  }
  chunk.results.push_back(std::move(result));
}

bool Newcomer::watches_all() const {
  return std::all_of(chunks_.begin(), chunks_.end(), [](const Chunk& chunk) {
    return chunk.watched && chunk.min_next.has_value();
  });
}

uint64_t Newcomer::min_next() const {
  uint64_t next = 0;
  for (const Chunk& chunk : chunks_) next = std::max(next, *chunk.min_next);
  return next;
}

absl::optional<Newcomer::Ask> Newcomer::NextAsk(absl::Time now) {
  if (complete_ || !watches_all()) return absl::nullopt;
  if (id_ != 0 && now >= heard_at_ + patience_) GiveUp(now);
  if (id_ == 0) {
    if (now < retry_at_) return absl::nullopt;
    ++num_attempts_;
    id_ = Mix64(Digest64(self_.worker) ^ (self_.incarnation * kGolden64 + num_attempts_)) | 1;
    heard_at_ = now;
    ask_is_due_ = true;
  }
  if (!ask_is_due_) return absl::nullopt;
  ask_is_due_ = false;
  told_bytes_ = received_bytes_;
  Ask ask;
  ask.aggregator = num_attempts_ % num_aggregators_;
  ask.request.set_id(id_);
  *ask.request.mutable_newcomer() = EncodeMember(self_);
  ask.request.set_min_round(min_next() - 1);
  ask.request.set_received_bytes(received_bytes_);
  return ask;
}

absl::Time Newcomer::next_ask_at() const {
  if (complete_ || !watches_all()) return absl::InfiniteFuture();
  return id_ == 0 ? retry_at_ : heard_at_ + patience_;
}

void Newcomer::GiveUp(absl::Time retry_at) {
  id_ = 0;
  retry_at_ = retry_at;
  ask_is_due_ = false;
  received_bytes_ = told_bytes_ = total_bytes_ = 0;
  assembler_ = SliceAssembler();
}

void Newcomer::Decline(absl::Time now) {
  pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
  GiveUp(now + pause_);
}

absl::Status Newcomer::Begin(const v1::StatePart& part, absl::string_view piece) {
  if (part.round() + 1 < min_next()) {
    return PartError(
        absl::StrCat(".round` = ", part.round(), ", must be ", min_next() - 1, " or later"));
  }
  const auto num_chunks = static_cast<int>(chunks_.size());
  if (part.chains_size() != num_chunks || part.halves_size() != num_chunks) {
    return PartError(absl::StrCat(".chains` has ", part.chains_size(), " entries and `halves` ",
                                  part.halves_size(), ", must both have one for each of the ",
                                  num_chunks, " chunks"));
  }
  state_ = {.round = part.round(), .initial_state_digest = part.initial_state_digest()};
  state_.chunks.resize(chunks_.size());
  for (int i = 0; i < num_chunks; ++i) {
    state_.chunks[i].place = {part.round(), part.halves(i)};
    state_.chunks[i].chain = part.chains(i);
  }
  size_t first = chunks_.size();
  for (int i = part.rosters_size(); i-- > 0;) {
    const v1::StatePart::ChunkRoster& message = part.rosters(i);
    std::vector<MemberId> members;
    for (const v1::Member& member : message.members()) {
      TALLY_ASSIGN_OR_RETURN(MemberId decoded, DecodeMember(member));
      members.push_back(std::move(decoded));
    }
    absl::StatusOr<Roster> roster = Roster::Create(message.epoch(), std::move(members));
    if (!roster.ok() || message.chunk() >= first) {
      return PartError(absl::StrCat(".rosters[", i, "]` of chunk ", message.chunk(),
                                    " must be a roster, of an earlier chunk than the next one"));
    }
    for (size_t chunk = message.chunk(); chunk < first; ++chunk) {
      state_.chunks[chunk].roster = *roster;
    }
    first = message.chunk();
  }
  if (first != 0) return PartError(".rosters` must begin with one of chunk 0");
  total_bytes_ = part.slice().total_bytes();
  payload_digest_ = part.payload_digest();
  return assembler_.Begin(part.slice(), BytesOf(piece), max_state_bytes_);
}

absl::Status Newcomer::Take(const v1::StatePart& part, absl::string_view piece, absl::Time now) {
  if (complete_ || id_ == 0 || part.id() != id_) return absl::OkStatus();
  heard_at_ = now;
  if (part.has_donor()) last_donor_ = part.donor().worker();
  if (!part.has_slice()) {
    Decline(now);
    return absl::OkStatus();
  }
  const absl::Status status = assembler_.in_progress()
                                  ? assembler_.Continue(part.slice(), BytesOf(piece))
                                  : Begin(part, piece);
  if (!status.ok()) {
    return absl::DataLossError(
        absl::StrCat("`state_part` from worker `", last_donor_, "`: ", status.message()));
  }
  received_bytes_ += piece.size();
  ask_is_due_ = received_bytes_ - told_bytes_ >= kStateWindowBytes / 2 || assembler_.complete();
  if (!assembler_.complete()) return absl::OkStatus();
  auto bytes = std::make_shared<const Buffer>(assembler_.Take());
  const uint64_t digest = Digest64(bytes->bytes());
  if (digest != payload_digest_) {
    return PartError(absl::StrCat(".payload_digest` = ", absl::Hex(payload_digest_),
                                  ", must be the state's, ", absl::Hex(digest)));
  }
  state_.bytes = std::move(bytes);
  complete_ = true;
  return absl::OkStatus();
}

std::vector<CheckedResult> Newcomer::TakeResults() {
  std::vector<CheckedResult> results;
  for (Chunk& chunk : chunks_) {
    for (CheckedResult& result : chunk.results) {
      // A genesis stands at the first round minus one, modulo 2^64.
      if (result.header.round() + 1 > state_.round + 1) results.push_back(std::move(result));
    }
    chunk.results.clear();
  }
  return results;
}

std::string Newcomer::Reason() const {
  if (!watches_all()) return "it watches the run until results of all chunks come";
  const std::string from =
      last_donor_.empty() ? "" : absl::StrCat(" from worker `", last_donor_, "`");
  if (total_bytes_ > 0) {
    return absl::StrCat("it gets the state", from, ": ", received_bytes_, " of ", total_bytes_,
                        " bytes");
  }
  return absl::StrCat("it has asked for the state ", num_attempts_, " times",
                      last_donor_.empty() ? "" : absl::StrCat(", last", from));
}

}  // namespace tally
