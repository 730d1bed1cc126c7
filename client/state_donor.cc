#include "client/state_donor.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "codecs/limits.h"

namespace tally {

namespace {

StateDonor::Part NothingFor(uint64_t id, size_t aggregator) {
  StateDonor::Part part{.aggregator = aggregator};
  part.message.set_id(id);
  return part;
}

}  // namespace

std::vector<StateDonor::Part> StateDonor::NextParts(uint64_t id, Donation& donation) {
  std::vector<Part> parts;
  const uint64_t total_bytes = donation.bytes->size();
  const uint64_t end = std::min(total_bytes, donation.received_bytes + kStateWindowBytes);
  while (donation.sent_bytes < end) {
    const uint64_t size = std::min<uint64_t>(kSliceBytes, end - donation.sent_bytes);
    Part part{.aggregator = donation.aggregator};
    if (donation.sent_bytes == 0) part.message = donation.head;
    part.message.set_id(id);
    part.message.mutable_slice()->set_offset_bytes(donation.sent_bytes);
    part.message.mutable_slice()->set_total_bytes(total_bytes);
    const auto* const begin = reinterpret_cast<const char*>(donation.bytes->data());
    part.piece.assign(begin + donation.sent_bytes, size);
    donation.sent_bytes += size;
    parts.push_back(std::move(part));
  }
  return parts;
}

std::vector<StateDonor::Part> StateDonor::Request(size_t aggregator,
                                                  const v1::StateRequest& request, absl::Time now) {
  const auto known = donations_.find(request.id());
  if (known == donations_.end() && request.received_bytes() > 0) {
    // States are never mixed.
    return {NothingFor(request.id(), aggregator)};
  }
  if (known == donations_.end()) {
    // Who asks anew has no use for what it asked for before.
    for (auto entry = donations_.begin(); entry != donations_.end();) {
      const bool is_old = entry->second.newcomer == request.newcomer().worker();
      entry = is_old ? donations_.erase(entry) : std::next(entry);
    }
    donations_[request.id()] = {.aggregator = aggregator,
                                .newcomer = request.newcomer().worker(),
                                .min_next = request.min_round() + 1,
                                .heard_at = now};
    return {};
  }
  Donation& donation = known->second;
  donation.heard_at = now;
  if (donation.bytes == nullptr) return {};
  donation.received_bytes = std::max(donation.received_bytes, request.received_bytes());
  if (donation.received_bytes < donation.bytes->size()) return NextParts(request.id(), donation);
  donations_.erase(known);
  return {};
}

bool StateDonor::wanted(uint64_t next_round) const {
  return std::any_of(donations_.begin(), donations_.end(), [&](const auto& entry) {
    return entry.second.bytes == nullptr && entry.second.min_next <= next_round;
  });
}

std::vector<StateDonor::Part> StateDonor::Give(const v1::StatePart& head, SharedBuffer bytes,
                                               uint64_t next_round) {
  std::vector<Part> parts;
  for (auto& [id, donation] : donations_) {
    if (donation.bytes != nullptr || donation.min_next > next_round) continue;
    donation.bytes = bytes;
    donation.head = head;
    std::vector<Part> first = NextParts(id, donation);
    std::move(first.begin(), first.end(), std::back_inserter(parts));
  }
  return parts;
}

std::vector<StateDonor::Part> StateDonor::Decline() {
  std::vector<Part> parts;
  for (auto entry = donations_.begin(); entry != donations_.end();) {
    const bool is_wanted = entry->second.bytes == nullptr;
    if (is_wanted) parts.push_back(NothingFor(entry->first, entry->second.aggregator));
    entry = is_wanted ? donations_.erase(entry) : std::next(entry);
  }
  return parts;
}

void StateDonor::ForgetSilent(absl::Time since) {
  for (auto entry = donations_.begin(); entry != donations_.end();) {
    entry = entry->second.heard_at < since ? donations_.erase(entry) : std::next(entry);
  }
}

void StateDonor::Forget(size_t aggregator) {
  for (auto entry = donations_.begin(); entry != donations_.end();) {
    entry = entry->second.aggregator == aggregator ? donations_.erase(entry) : std::next(entry);
  }
}

}  // namespace tally
