#include "aggregator/chunk_log.h"

#include <algorithm>
#include <string>
#include <utility>

#include "aggregator/admission.h"
#include "base/check.h"

namespace tally {
namespace {

StoredResult StoredOf(const v1::ResultHeader& header, std::string header_bytes, uint64_t chain,
                      SharedBuffer payload) {
  StoredResult result;
  result.place = PlaceOf(header);
  result.chain = chain;
  result.message.set_chunk(header.chunk());
  result.message.set_round(header.round());
  result.message.set_half(header.half());
  result.message.set_header(std::move(header_bytes));
  result.payload = std::move(payload);
  return result;
}

}  // namespace

std::shared_ptr<const StoredResult> ChunkLog::Append(v1::ResultHeader header, SharedBuffer payload,
                                                     v1::Advice advice, bool residual_is_zero) {
  header.set_prev_chain(chain_);
  if (!header.has_genesis()) {
    const absl::Status completed = roster_.Complete(header);
    TALLY_CHECK(completed.ok(), completed.ToString());
  }
  absl::StatusOr<Roster> roster = roster_.After(header);
  TALLY_CHECK(roster.ok(), roster.status().ToString());
  roster_ = *std::move(roster);

  std::string bytes = header.SerializeAsString();
  chain_ = ChainOf(bytes);
  if (residual_is_zero) {
    v1::Entry& floor = *advice.mutable_snapshot_floor();
    floor.set_round(header.round());
    floor.set_half(header.half());
    floor.set_chain(chain_);
    floor.set_epoch(roster_.epoch());
    advice.set_floor_is_zero(true);
  }
  auto result = std::make_shared<StoredResult>(
      StoredOf(header, std::move(bytes), chain_, std::move(payload)));
  *result->message.mutable_advice() = std::move(advice);
  Keep(result);
  return result;
}

void ChunkLog::Restore(std::vector<CheckedResult> entries, const Roster& roster) {
  TALLY_CHECK(headers_.empty(), "a history is restored before anything is appended");
  roster_ = roster;
  for (CheckedResult& entry : entries) {
    chain_ = entry.chain;
    Keep(std::make_shared<const StoredResult>(StoredOf(entry.header, std::move(entry.header_bytes),
                                                       entry.chain, std::move(entry.payload))));
  }
}

void ChunkLog::Keep(std::shared_ptr<const StoredResult> result) {
  headers_.push_back({result->place, result->chain});
  if (headers_.size() > kKeptHeaders) headers_.pop_front();
  results_.push_back(std::move(result));
  if (results_.size() > kept_results_) results_.pop_front();
}

v1::Entry ChunkLog::Head() const {
  v1::Entry head;
  head.set_round(results_.back()->place.round);
  head.set_half(results_.back()->place.half);
  head.set_chain(chain_);
  head.set_epoch(roster_.epoch());
  return head;
}

std::shared_ptr<const StoredResult> ChunkLog::FindResult(const Place& place) const {
  const auto found = std::find_if(results_.begin(), results_.end(),
                                  [&](const auto& result) { return result->place == place; });
  return found == results_.end() ? nullptr : *found;
}

std::vector<std::shared_ptr<const StoredResult>> ChunkLog::ResultsAfter(
    const absl::optional<v1::Entry>& entry) const {
  auto first = results_.begin();
  if (entry.has_value()) {
    const auto found = std::find_if(results_.begin(), results_.end(), [&](const auto& result) {
      return result->chain == entry->chain();
    });
    if (found != results_.end()) first = std::next(found);
  }
  return {first, results_.end()};
}

bool ChunkLog::LeadsOnFrom(const v1::Entry& entry) const {
  size_t num_after = 0;
  for (auto header = headers_.rbegin(); header != headers_.rend(); ++header, ++num_after) {
    if (num_after > results_.size()) return false;
    if (header->chain == entry.chain()) return true;
  }
  if (results_.size() != headers_.size() || results_.empty()) return false;
  // What was read back may begin right after it.
  v1::ResultHeader first;
  return first.ParseFromString(results_.front()->message.header()) &&
         first.prev_chain() == entry.chain();
}

absl::optional<v1::Entry> ChunkLog::EntryAt(const Place& place, uint64_t first_round) const {
  const uint64_t index = PlaceIndex(place, first_round);
  const auto found = std::find_if(headers_.rbegin(), headers_.rend(), [&](const auto& header) {
    return PlaceIndex(header.place, first_round) <= index;
  });
  if (found == headers_.rend()) return absl::nullopt;
  v1::Entry entry;
  entry.set_round(found->place.round);
  entry.set_half(found->place.half);
  entry.set_chain(found->chain);
  return entry;
}

bool ChunkLog::Contains(const Place& place, uint64_t chain) const {
  return std::any_of(headers_.rbegin(), headers_.rend(), [&](const PastHeader& header) {
    return header.place == place && header.chain == chain;
  });
}

}  // namespace tally
