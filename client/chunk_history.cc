#include "client/chunk_history.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/variant.h"
#include "base/status_macros.h"
#include "codecs/exchange.h"
#include "codecs/sparse_codec.h"

namespace tally {
namespace {

// Chains and digests as people compare them.
std::string HexName(uint64_t digest) { return absl::StrCat(absl::Hex(digest, absl::kZeroPad16)); }

bool Contains(absl::Span<const MemberId> members, const MemberId& member) {
  for (const MemberId& candidate : members) {
    if (candidate == member) return true;
  }
  return false;
}

}  // namespace

v1::Entry ChunkHistory::Head() const {
  v1::Entry head;
  head.set_round(head_.round);
  head.set_half(head_.half);
  head.set_chain(chain_);
  head.set_epoch(roster_.epoch());
  return head;
}

absl::Status ChunkHistory::Contradiction(const v1::ResultHeader& header,
                                         absl::string_view what) const {
  const std::string place =
      header.has_genesis() ? std::string("genesis") : PlaceName(PlaceOf(header));
  return absl::DataLossError(absl::StrCat("chunk ", chunk_, ", ", place, ": ", what));
}

absl::Status ChunkHistory::CheckGenesis(const v1::ResultHeader& header) const {
  const v1::Genesis& expected = identity_->genesis;
  const v1::Genesis& actual = header.genesis();
  const struct {
    absl::string_view field;
    uint64_t actual;
    uint64_t expected;
  } rules[] = {
      {"genesis.seed", actual.seed(), expected.seed()},
      {"genesis.layout_digest", actual.layout_digest(), expected.layout_digest()},
      {"genesis.settings_digest", actual.settings_digest(), expected.settings_digest()},
      {"genesis.initial_state_digest", actual.initial_state_digest(),
       expected.initial_state_digest()},
      {"prev_chain", header.prev_chain(), 0},
  };
  for (const auto& rule : rules) {
    if (rule.actual == rule.expected) continue;
    return Contradiction(header, absl::StrCat("`", rule.field, "` = ", HexName(rule.actual),
                                              ", must be ", HexName(rule.expected)));
  }
  return absl::OkStatus();
}

bool ChunkHistory::IsOfAnotherHistory(const CheckedResult& result) const {
  return begun_ && PlaceOf(result.header) == next_ && result.header.prev_chain() != chain_;
}

absl::Status ChunkHistory::CheckPlace(const CheckedResult& result) const {
  const v1::ResultHeader& header = result.header;
  const uint64_t index = IndexOf(PlaceOf(header));
  if (header.run() != identity_->run) {
    return Contradiction(header,
                         absl::StrCat("`run` = ", header.run(), ", must be ", identity_->run));
  }
  if (header.has_genesis() != (index == 0)) {
    return Contradiction(header, absl::StrCat("`genesis` is ", index == 0 ? "unset" : "set",
                                              ", must be set in the chunk's first entry alone"));
  }
  if (!begun_) {
    if (index == 0) return CheckGenesis(header);
    return Contradiction(header, absl::StrCat("`prev_chain` = ", HexName(header.prev_chain()),
                                              " comes before the genesis, chain ", HexName(0)));
  }
  if (PlaceOf(header) == head_ && result.chain != chain_) {
    return Contradiction(header,
                         absl::StrCat("a second result, chain ", HexName(result.chain),
                                      ", must be the first one's, chain ", HexName(chain_)));
  }
  if (index > IndexOf(next_)) {
    return Contradiction(
        header, absl::StrCat("comes from the future, `prev_chain` = ", HexName(header.prev_chain()),
                             ", must follow ", PlaceName(head_), ", chain ", HexName(chain_)));
  }
  if (IsOfAnotherHistory(result)) {
    return Contradiction(header,
                         absl::StrCat("`prev_chain` = ", HexName(header.prev_chain()), ", must be ",
                                      HexName(chain_), ", this worker's history of the chunk"));
  }
  return absl::OkStatus();
}

absl::Status ChunkHistory::CheckAnswers(const CheckedResult& result) const {
  const auto& values = absl::get<ValuesExchange>(result.exchange->kind);
  if (values.candidates_digest == candidates_digest_ && values.num_values == num_candidates_) {
    return absl::OkStatus();
  }
  return Contradiction(
      result.header,
      absl::StrCat("`exchange` = ", ExchangeName(*result.exchange), ", must be of the ",
                   num_candidates_, " elements that the first half chose, payload digest ",
                   HexName(candidates_digest_)));
}

void ChunkHistory::BeginAfter(const Place& place, uint64_t chain, Roster roster) {
  begun_ = true;
  head_ = place;
  next_ = {place.round + 1, 0};
  chain_ = chain;
  roster_ = std::move(roster);
}

absl::StatusOr<ChunkHistory::Applied> ChunkHistory::Apply(const CheckedResult& result) {
  const v1::ResultHeader& header = result.header;
  const bool is_genesis = header.has_genesis();
  TALLY_RETURN_IF_ERROR(CheckPlace(result));
  Applied applied;
  if (begun_ && IndexOf(PlaceOf(header)) < IndexOf(next_)) {
    applied.duplicate = true;
    return applied;
  }
  if (next_.half == 1 && result.exchange.has_value()) {
    TALLY_RETURN_IF_ERROR(CheckAnswers(result));
  }
  if (!is_genesis) {
    const absl::StatusOr<std::vector<MemberId>> participants =
        roster_.Participants(header.participants());
    if (!participants.ok()) return Contradiction(header, participants.status().message());
    applied.num_participants = static_cast<uint32_t>(participants->size());
    applied.counted = Contains(*participants, identity_->member);
  }
  absl::StatusOr<Roster> next = roster_.After(header);
  if (!next.ok()) return Contradiction(header, next.status().message());
  applied.member = Contains(next->members(), identity_->member);
  if (is_genesis && !applied.member && !identity_->watches) {
    return absl::FailedPreconditionError(
        absl::StrCat("chunk ", chunk_, ", genesis: the run has started without worker `",
                     identity_->member.worker, "`, incarnation ", identity_->member.incarnation));
  }
  begun_ = true;
  head_ = PlaceOf(header);
  next_ = PlaceAfter(header);
  if (next_.half == 1) {
    candidates_digest_ = header.payload_digest();
    num_candidates_ = SparseCountOf(result.payload->bytes());
  }
  chain_ = result.chain;
  roster_ = *std::move(next);
  return applied;
}

}  // namespace tally
