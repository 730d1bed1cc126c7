#include "tests/simulation/simulation_report.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tally {
namespace {

// Of the run and those that it has resumed.
std::vector<AppliedEntry> WholeHistory(const SimulationReport& report, const std::string& worker,
                                       uint32_t chunk) {
  std::vector<AppliedEntry> whole;
  for (const RunReport& run : report.runs) {
    const auto history = run.histories.find(worker);
    if (history == run.histories.end()) continue;
    const auto entries = history->second.find(chunk);
    if (entries == history->second.end()) continue;
    whole.insert(whole.end(), entries->second.begin(), entries->second.end());
  }
  return whole;
}

}  // namespace

std::string FirstDifference(const SimulationReport& life, const SimulationReport& other,
                            bool with_chains) {
  const auto describe = [&](const std::vector<AppliedEntry>& entries, size_t index) {
    if (index >= entries.size()) return std::string("nothing");
    const AppliedEntry& entry = entries[index];
    return absl::StrCat(
        PlaceName(entry.place), ", payload ", absl::Hex(entry.header.payload_digest()), " of ",
        absl::BytesToHexString(entry.header.participants()),
        with_chains ? absl::StrCat(", chain ", absl::Hex(entry.chain)) : "",
        entry.counted ? "" : ", missed", entry.header.residual_rebased() ? ", rebased" : "");
  };
  for (const auto& [worker, chunks] : life.histories()) {
    for (const auto& [chunk, last_entries] : chunks) {
      const std::vector<AppliedEntry> entries = WholeHistory(life, worker, chunk);
      const std::vector<AppliedEntry> theirs = WholeHistory(other, worker, chunk);
      for (size_t i = 0; i < std::max(entries.size(), theirs.size()); ++i) {
        const std::string a = describe(entries, i);
        const std::string b = describe(theirs, i);
        if (a != b) return absl::StrCat(worker, ", chunk ", chunk, ": ", a, " against ", b);
      }
    }
  }
  return "";
}

}  // namespace tally
