#include "aggregator/chunk_history.h"

#include <algorithm>
#include <string>
#include <utility>

#include "aggregator/admission.h"
#include "base/check.h"

namespace tally {

std::shared_ptr<const StoredResult> ChunkHistory::Append(v1::ResultHeader header,
                                                         SharedBuffer payload,
                                                         const v1::Advice& advice) {
  header.set_prev_chain(chain_);
  if (!header.has_genesis()) header.set_epoch(roster_.epoch());
  absl::StatusOr<Roster> roster = roster_.After(header);
  TALLY_CHECK(roster.ok(), roster.status().ToString());
  roster_ = *std::move(roster);

  auto result = std::make_shared<StoredResult>();
  std::string bytes = header.SerializeAsString();
  chain_ = ChainOf(bytes);
  result->place = PlaceOf(header);
  result->chain = chain_;
  result->message.set_chunk(header.chunk());
  result->message.set_round(header.round());
  result->message.set_half(header.half());
  result->message.set_header(std::move(bytes));
  *result->message.mutable_advice() = advice;
  result->payload = std::move(payload);

  results_.push_back(result);
  if (results_.size() > kKeptResults) results_.pop_front();
  headers_.push_back({PlaceOf(header), chain_});
  if (headers_.size() > kKeptHeaders) headers_.pop_front();
  return result;
}

std::shared_ptr<const StoredResult> ChunkHistory::FindResult(const Place& place) const {
  const auto found = std::find_if(results_.begin(), results_.end(),
                                  [&](const auto& result) { return result->place == place; });
  return found == results_.end() ? nullptr : *found;
}

bool ChunkHistory::Contains(const Place& place, uint64_t chain) const {
  return std::any_of(headers_.rbegin(), headers_.rend(), [&](const PastHeader& header) {
    return header.place == place && header.chain == chain;
  });
}

}  // namespace tally
