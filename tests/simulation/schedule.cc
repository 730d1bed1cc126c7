#include "tests/simulation/schedule.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/choices.h"
#include "base/status_macros.h"
#include "codecs/place.h"
#include "codecs/roster.h"

namespace tally {
namespace {

using History = std::map<uint32_t, std::vector<AppliedEntry>>;

bool Contains(const std::vector<std::string>& workers, const std::string& worker) {
  return std::find(workers.begin(), workers.end(), worker) != workers.end();
}

std::string DescribeAt(const std::vector<AppliedEntry>& entries, size_t index) {
  if (index >= entries.size()) return "nothing";
  const AppliedEntry& entry = entries[index];
  return absl::StrCat(PlaceName(entry.place), ", chain ", absl::Hex(entry.chain));
}

// What an observer has read may be undone when the members could not confirm their end.
bool MayDiffer(const SimulationReport& report, const std::string& worker,
               const std::vector<AppliedEntry>& entries) {
  return Contains(report.newcomers, worker) && !report.late_leavers.empty() && !entries.empty() &&
         !entries.back().counted;
}

// It was cut off when the others finished, and went on alone when they had left and an aggregator
// that knew better had been killed: with fewer witnesses than half, after a long wait.
bool OutlivedTheRun(const SimulationOptions& options, const History& history) {
  for (const auto& [chunk, entries] : history) {
    if (entries.empty()) continue;
    const v1::ResultHeader& last = entries.back().header;
    if (last.round() + 1 == options.rounds && last.roster_size() > 0 &&
        last.roster_size() < last.evicted_size()) {
      return true;
    }
  }
  return false;
}

// Whoever was evicted has taken out what counts, and nothing else (I2).
absl::Status CheckSettlements(const SimulationOptions& options, const SimulationReport& report,
                              const History& history) {
  std::vector<MemberId> members;
  for (uint32_t w = 0; w < options.workers; ++w) members.push_back(SimulatedMember(w));
  for (const auto& [chunk, entries] : history) {
    TALLY_ASSIGN_OR_RETURN(Roster roster, Roster::Create(0, members));
    for (const AppliedEntry& entry : entries) {
      TALLY_ASSIGN_OR_RETURN(const std::vector<MemberId> participants,
                             roster.Participants(entry.header.participants()));
      for (const Settlement& settlement : report.settlements) {
        if (settlement.chunk != chunk || settlement.place != entry.place) continue;
        const bool counts = std::find(participants.begin(), participants.end(),
                                      settlement.member) != participants.end();
        if (counts == settlement.counted) continue;
        return absl::DataLossError(absl::StrCat(
            settlement.member.worker, ", chunk ", chunk, ", ", PlaceName(entry.place),
            counts ? " counts it, but it was told no" : " does not count it, but it was told yes"));
      }
      TALLY_ASSIGN_OR_RETURN(roster, roster.After(entry.header));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckOneHistory(const SimulationOptions& options, const SimulationReport& report) {
  const History* first = nullptr;
  std::string first_worker;
  for (const auto& [worker, history] : report.histories) {
    if (Contains(report.killed_workers, worker) || Contains(report.late_leavers, worker) ||
        Contains(report.evicted_workers, worker) || OutlivedTheRun(options, history)) {
      continue;
    }
    if (first == nullptr) {
      // Those who were there from the beginning come first, but for killed ones that came back.
      if (Contains(report.newcomers, worker) || Contains(report.outrun_workers, worker) ||
          Contains(report.early_leavers, worker)) {
        continue;
      }
      first = &history;
      first_worker = worker;
    }
    for (const auto& [chunk, entries] : history) {
      if (MayDiffer(report, worker, entries)) continue;
      const std::vector<AppliedEntry>& others = first->at(chunk);
      // A newcomer's begins later, and ends earlier if it never came level; so does a leaver's.
      const bool is_newcomer = Contains(report.newcomers, worker) ||
                               Contains(report.outrun_workers, worker) ||
                               Contains(report.early_leavers, worker);
      size_t first_entry = 0;
      if (is_newcomer && !entries.empty()) {
        while (first_entry < others.size() && others[first_entry].place < entries[0].place) {
          ++first_entry;
        }
      }
      const size_t count = is_newcomer ? entries.size() : std::max(entries.size(), others.size());
      for (size_t i = 0; i < count; ++i) {
        const std::string mine = DescribeAt(entries, i);
        const std::string theirs = DescribeAt(others, first_entry + i);
        if (mine == theirs) continue;
        return absl::DataLossError(absl::StrCat(worker, ", chunk ", chunk, ": ", mine, ", but ",
                                                first_worker, " has ", theirs));
      }
    }
  }
  if (first == nullptr) return absl::OkStatus();
  for (const auto& [chunk, entries] : *first) {
    TALLY_RETURN_IF_ERROR(CheckHistory(options, chunk, entries));
  }
  return CheckSettlements(options, report, *first);
}

// What a leaver handed over was taken, once; what it counts as lost may have been taken all the
// same, if the heir's word was lost (I9).
absl::Status CheckBequests(const SimulationReport& report) {
  if (report.inherited_twice > 0) {
    return absl::DataLossError(absl::StrCat(report.inherited_twice, " residuals were taken twice"));
  }
  // Norms are roots.
  constexpr double kRounding = 1e-9;
  for (const auto& [worker, bequest] : report.bequests) {
    const double slack = kRounding * (bequest.handed_over + bequest.discarded);
    if (bequest.inherited < bequest.handed_over - slack ||
        bequest.inherited > bequest.handed_over + bequest.discarded + slack) {
      return absl::DataLossError(absl::StrCat(worker, " handed over ", bequest.handed_over,
                                              " and lost ", bequest.discarded, ", but others have ",
                                              bequest.inherited));
    }
  }
  return absl::OkStatus();
}

bool AnybodyEvicted(const History& history) {
  for (const auto& [chunk, entries] : history) {
    for (const AppliedEntry& entry : entries) {
      if (entry.header.evicted_size() > 0) return true;
    }
  }
  return false;
}

// As long as no worker dies, no residual does (I10).
absl::Status CheckNothingLost(const SimulationReport& report) {
  for (const auto& [worker, history] : report.histories) {
    for (const auto& [chunk, entries] : history) {
      // One that was outrun, or was leaving, may have been held for dead before.
      const bool may_have_been_evicted =
          !report.outrun_workers.empty() || !report.early_leavers.empty();
      if (may_have_been_evicted && AnybodyEvicted(history)) continue;
      for (const AppliedEntry& entry : entries) {
        if (!entry.header.residual_rebased()) continue;
        return absl::DataLossError(absl::StrCat(worker, ", chunk ", chunk, ", ",
                                                PlaceName(entry.place),
                                                ": the residual was lost without a cause"));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

SimulationOptions ScheduleOf(uint64_t seed) {
  Choices choices(seed, /*purpose=*/4);
  SimulationOptions options;
  options.seed = seed;
  options.workers = 1 + static_cast<uint32_t>(choices.Below(choices.OneIn(8) ? 16 : 6));
  options.aggregators = 1 + static_cast<uint32_t>(choices.Below(4));
  options.rounds = 5 + choices.Below(30);
  options.snapshot_interval = 1 + static_cast<uint32_t>(choices.Below(10));
  options.dealt = choices.OneIn(3);
  const auto sometimes = [&](absl::Duration low, absl::Duration high) {
    const absl::Duration mean = choices.Between(low, high);
    return choices.OneIn(3) ? absl::InfiniteDuration() : mean;
  };
  options.aggregator_kills = sometimes(absl::Milliseconds(100), absl::Seconds(1));
  options.cuts = sometimes(absl::Milliseconds(50), absl::Seconds(1));
  options.worker_kills = sometimes(absl::Milliseconds(200), absl::Seconds(2));
  options.partitions = sometimes(absl::Milliseconds(300), absl::Seconds(3));
  options.pauses = sometimes(absl::Milliseconds(200), absl::Seconds(3));
  options.joins = sometimes(absl::Milliseconds(200), absl::Seconds(2));
  // Runs that nobody joins are compared with undisturbed ones.
  if (!choices.OneIn(2)) options.joins = absl::InfiniteDuration();
  if (choices.OneIn(4)) {
    options.max_late = 1 + static_cast<uint32_t>(choices.Below(options.workers));
    options.longest_thought = choices.Between(absl::Milliseconds(20), absl::Milliseconds(1500));
  }
  if (choices.OneIn(4)) options.leaves = choices.Between(absl::Milliseconds(200), absl::Seconds(2));
  if (choices.OneIn(4)) {
    // So that processes die after others were evicted. Streams are tried again every 2 s.
    options.evict_after = absl::Seconds(8);
    options.faults_for = choices.Between(absl::Seconds(3), absl::Seconds(40));
  }
  return options;
}

absl::Status CheckSchedule(const SimulationOptions& options) {
  const SimulationReport report = Simulate(options);
  TALLY_RETURN_IF_ERROR(report.status);
  TALLY_RETURN_IF_ERROR(CheckOneHistory(options, report));
  TALLY_RETURN_IF_ERROR(CheckBequests(report));
  if (!report.killed_workers.empty() || !report.late_leavers.empty() ||
      !report.evicted_workers.empty()) {
    return absl::OkStatus();
  }
  TALLY_RETURN_IF_ERROR(CheckNothingLost(report));
  // Who came or went when, and who was late, depends on the time that faults take.
  if (!report.newcomers.empty() || !report.early_leavers.empty() || options.max_late > 0) {
    return absl::OkStatus();
  }
  SimulationOptions calm = options;
  calm.aggregator_kills = calm.cuts = calm.worker_kills = calm.partitions = calm.pauses =
      calm.joins = calm.leaves = absl::InfiniteDuration();
  calm.script.clear();
  const SimulationReport undisturbed = Simulate(calm);
  TALLY_RETURN_IF_ERROR(undisturbed.status);
  const std::string difference = FirstDifference(report, undisturbed);
  if (difference.empty()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(difference, " in the undisturbed run"));
}

}  // namespace tally
