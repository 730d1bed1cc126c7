#include "aggregator/eviction.h"

namespace tally {

std::vector<size_t> MembersToEvict(absl::Span<const MemberSign> roster, const EvictionRule& rule,
                                   size_t num_level) {
  size_t num_witnesses = 0;
  bool first_is_witness = false;
  for (size_t i = 0; i < roster.size(); ++i) {
    const MemberSign& member = roster[i];
    if (!member.connected || !member.reaches_all || member.silent_for >= rule.evict_after ||
        member.awaited_for >= rule.progress_after) {
      continue;
    }
    ++num_witnesses;
    first_is_witness |= i == 0;
  }
  const bool majority =
      2 * num_witnesses > roster.size() || (2 * num_witnesses == roster.size() && first_is_witness);
  std::vector<size_t> evicted;
  if (num_witnesses == 0 && num_level == 0) return evicted;
  for (size_t i = 0; i < roster.size(); ++i) {
    if (roster[i].silent_for >= (majority ? rule.evict_after : rule.minority_after) ||
        (majority && roster[i].awaited_for >= rule.progress_after)) {
      evicted.push_back(i);
    }
  }
  return evicted;
}

}  // namespace tally
