#include "aggregator/eviction.h"

#include <algorithm>

namespace tally {
namespace {

bool IsWitness(const MemberSign& sign, const EvictionRule& rule) {
  return sign.connected && sign.reaches_all && sign.silent_for < rule.evict_after &&
         sign.awaited_for < rule.progress_after;
}

}  // namespace

size_t NumWitnesses(absl::Span<const MemberSign> roster, const EvictionRule& rule) {
  return static_cast<size_t>(std::count_if(
      roster.begin(), roster.end(), [&](const MemberSign& sign) { return IsWitness(sign, rule); }));
}

std::vector<size_t> MembersToEvict(absl::Span<const MemberSign> roster, const EvictionRule& rule,
                                   size_t num_level) {
  const size_t num_witnesses = NumWitnesses(roster, rule);
  const bool first_is_witness = !roster.empty() && IsWitness(roster.front(), rule);
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
