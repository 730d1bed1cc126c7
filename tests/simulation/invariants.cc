#include "tests/simulation/invariants.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "codecs/place.h"
#include "codecs/roster.h"
#include "tests/simulation/history_model.h"
#include "tests/simulation/scripted_exchange.h"

namespace tally {
namespace {

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

// The entry evicted so many that less than half of the roster stays, or half without its first
// member: too few witnesses, who go on after a long wait.
bool IsMinoritys(const v1::ResultHeader& header) {
  if (header.evicted_size() == 0 || header.roster_size() != header.evicted_size()) {
    return header.roster_size() > 0 && header.roster_size() < header.evicted_size();
  }
  const auto first_of = [](const google::protobuf::RepeatedPtrField<v1::Member>& members) {
    return std::min_element(members.begin(), members.end(),
                            [](const auto& a, const auto& b) { return a.worker() < b.worker(); })
        ->worker();
  };
  return first_of(header.evicted()) < first_of(header.roster());
}

bool WasEvicted(const std::vector<AppliedEntry>& entries, const std::string& worker) {
  return std::any_of(entries.begin(), entries.end(), [&](const auto& entry) {
    const auto& evicted = entry.header.evicted();
    return std::any_of(evicted.begin(), evicted.end(),
                       [&](const auto& member) { return member.worker() == worker; });
  });
}

// Who has fallen behind, or leaves, may have read what a crash undid, and is not told before the
// run is over: as an observer, or as a member that the others held for dead. A newcomer may have
// seen the last entry of those who have died since, and whom the others took out with the entry in
// its place, or a minority with any.
bool MayHaveReadUndone(const SimulationReport& report, const std::string& worker,
                       const std::vector<AppliedEntry>& rest,
                       const std::vector<AppliedEntry>& others) {
  const bool saw_the_dead =
      Contains(report.newcomers, worker) &&
      std::any_of(others.begin(), others.end(), [&](const AppliedEntry& entry) {
        const bool is_in_its_place = !rest.empty() && entry.place == rest[0].place;
        return IsMinoritys(entry.header) || (is_in_its_place && entry.header.evicted_size() > 0);
      });
  if (!Contains(report.outrun_workers, worker) && !Contains(report.early_leavers, worker) &&
      !saw_the_dead) {
    return false;
  }
  return WasEvicted(others, worker) ||
         std::none_of(rest.begin(), rest.end(), [](const auto& entry) { return entry.counted; });
}

// It was cut off when the others finished, and went on alone when they had left and no aggregator
// knew better any more.
bool OutlivedTheRun(const History& history, uint64_t last_round) {
  return std::any_of(history.begin(), history.end(), [&](const auto& chunk) {
    const std::vector<AppliedEntry>& entries = chunk.second;
    return !entries.empty() && entries.back().place.round == last_round &&
           IsMinoritys(entries.back().header);
  });
}

// Its history begins later than others', and ends earlier if it never came level; a leaver's ends
// earlier too.
bool SawOnlyPart(const SimulationReport& report, const std::string& worker) {
  return Contains(report.newcomers, worker) || Contains(report.outrun_workers, worker) ||
         Contains(report.early_leavers, worker);
}

// The history of those who were there from the first round to the last; null: there is nobody.
const std::pair<const std::string, History>* WholeHistory(const SimulationReport& report,
                                                          const RunReport& run,
                                                          uint64_t last_round) {
  for (const auto& history : run.histories) {
    const bool ended_otherwise = Contains(report.killed_workers, history.first) ||
                                 Contains(report.late_leavers, history.first) ||
                                 Contains(report.evicted_workers, history.first) ||
                                 OutlivedTheRun(history.second, last_round);
    if (!ended_otherwise && !SawOnlyPart(report, history.first)) return &history;
  }
  return nullptr;
}

absl::Status CheckSame(const SimulationReport& report, const std::string& worker,
                       const History& history, const std::string& other,
                       const History& other_history) {
  for (const auto& [chunk, entries] : history) {
    if (MayDiffer(report, worker, entries)) continue;
    const std::vector<AppliedEntry>& others = other_history.at(chunk);
    const bool saw_part = SawOnlyPart(report, worker);
    size_t first_entry = 0;
    if (saw_part && !entries.empty()) {
      while (first_entry < others.size() && others[first_entry].place < entries[0].place) {
        ++first_entry;
      }
    }
    const size_t count = saw_part ? entries.size() : std::max(entries.size(), others.size());
    for (size_t i = 0; i < count; ++i) {
      const std::string mine = DescribeAt(entries, i);
      const std::string theirs = DescribeAt(others, first_entry + i);
      if (mine == theirs) continue;
      const auto differing = entries.begin() + static_cast<ptrdiff_t>(std::min(i, entries.size()));
      if (MayHaveReadUndone(report, worker, {differing, entries.end()}, others)) break;
      return absl::DataLossError(
          absl::StrCat(worker, ", chunk ", chunk, ": ", mine, ", but ", other, " has ", theirs));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckOneHistory(const SimulationReport& report, const RunReport& run,
                             uint64_t last_round) {
  const auto* const whole = WholeHistory(report, run, last_round);
  if (whole == nullptr) return absl::OkStatus();
  for (const auto& [worker, history] : run.histories) {
    if (Contains(report.killed_workers, worker) || Contains(report.late_leavers, worker) ||
        Contains(report.evicted_workers, worker) || OutlivedTheRun(history, last_round)) {
      continue;
    }
    TALLY_RETURN_IF_ERROR(CheckSame(report, worker, history, whole->first, whole->second));
  }
  return absl::OkStatus();
}

// Where chains are the same so is what is replicated (I11).
absl::Status CheckReplicas(const RunReport& run) {
  std::map<uint64_t, uint64_t> states;
  for (const auto& [worker, replicas] : run.replicas) {
    for (const auto& [chains, state] : replicas) {
      if (states.insert({chains, state}).first->second == state) continue;
      return absl::DataLossError(
          absl::StrCat(worker, ": its replicated state is not that of others on the same chains"));
    }
  }
  return absl::OkStatus();
}

// Whoever was evicted was told right what counts (I2). Gives those that count in no history: of two
// minorities that have evicted each other, one's history is forgotten with what it counts.
absl::StatusOr<std::vector<Settlement>> CheckSettlements(const SimulationReport& report,
                                                         uint32_t chunk,
                                                         const std::vector<MemberId>& members,
                                                         const std::vector<AppliedEntry>& entries) {
  std::vector<Settlement> forgotten;
  TALLY_ASSIGN_OR_RETURN(Roster roster, Roster::Create(0, members));
  for (const AppliedEntry& entry : entries) {
    TALLY_ASSIGN_OR_RETURN(const std::vector<MemberId> participants,
                           roster.Participants(entry.header.participants()));
    for (const Settlement& settlement : report.settlements) {
      if (settlement.chunk != chunk || settlement.place != entry.place) continue;
      const bool counts = std::find(participants.begin(), participants.end(), settlement.member) !=
                          participants.end();
      if (counts == settlement.counted) continue;
      if (settlement.counted && IsMinoritys(entry.header)) {
        forgotten.push_back(settlement);
        continue;
      }
      return absl::DataLossError(absl::StrCat(
          settlement.member.worker, ", chunk ", chunk, ", ", PlaceName(entry.place),
          counts ? " counts it, but it was told no" : " does not count it, but it was told yes"));
    }
    TALLY_ASSIGN_OR_RETURN(roster, roster.After(entry.header));
  }
  return forgotten;
}

// `forgotten` is the present run's.
absl::Status CheckBooks(const SimulationReport& report, const HistoryModel& model, uint32_t chunk,
                        const std::vector<Settlement>& forgotten, uint64_t last_round) {
  for (const ClosedBooks& books : report.books) {
    const std::string& worker = books.member.worker;
    const auto history = report.histories().find(worker);
    if (history == report.histories().end() || OutlivedTheRun(history->second, last_round)) {
      continue;
    }
    if (Tracks(report.description->layout, chunk)) {
      if (!books.saw_the_end || !model.roster().Has(books.member)) continue;
      if (model.tracked().at(worker) != books.own.tracked(chunk)) {
        return absl::DataLossError(
            absl::StrCat(worker, ", chunk ", chunk, ": tracks something else than headers say"));
      }
      continue;
    }
    std::vector<double> taken = books.own.TakenOut(chunk);
    for (const Settlement& settlement : forgotten) {
      if (settlement.process != books.process) continue;
      const absl::Span<const float> values = books.own.TakenAt(chunk, settlement.place);
      for (size_t i = 0; i < values.size(); ++i) taken[i] -= values[i];
    }
    const auto found = model.counted().find(books.process);
    for (size_t i = 0; i < taken.size(); ++i) {
      const double counted = found == model.counted().end() ? 0.0 : found->second[i];
      if (taken[i] == counted) continue;
      return absl::DataLossError(absl::StrCat(worker, " (process ", books.process, "), chunk ",
                                              chunk, ", element ", i, ": has taken out ", taken[i],
                                              ", but headers count ", counted));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckChunk(const SimulationReport& report, uint32_t chunk, uint64_t last_round) {
  HistoryModel model(report.description, chunk, report.runs.front().log.get(),
                     report.runs.front().members);
  std::vector<AppliedEntry> entries;
  std::vector<Settlement> forgotten;
  for (const RunReport& run : report.runs) {
    const auto* const whole = WholeHistory(report, run, last_round);
    if (whole == nullptr) return absl::OkStatus();
    if (&run != &report.runs.front()) model.Resume(run.log.get(), run.members);
    const auto found = whole->second.find(chunk);
    entries = found == whole->second.end() ? std::vector<AppliedEntry>() : found->second;
    for (const AppliedEntry& entry : entries) TALLY_RETURN_IF_ERROR(model.Append(entry));
    TALLY_ASSIGN_OR_RETURN(forgotten, CheckSettlements(report, chunk, run.members, entries));
  }
  return CheckBooks(report, model, chunk, forgotten, last_round);
}

// What is counted as lost may have been taken all the same, if the heir's word was lost.
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

}  // namespace

absl::Status CheckInvariants(const SimulationReport& report, uint64_t last_round) {
  // Where a crash undid what an evicted worker has read, it may still take part with others, whom
  // no fence has reached yet.
  if (report.anybody_drifted && !report.anybody_evicted) {
    return absl::DataLossError("aggregators hold replicated states for different");
  }
  for (const RunReport& run : report.runs) {
    TALLY_RETURN_IF_ERROR(CheckReplicas(run));
    TALLY_RETURN_IF_ERROR(CheckOneHistory(report, run, last_round));
  }
  for (uint32_t chunk = 0; chunk < report.description->layout.chunks().size(); ++chunk) {
    TALLY_RETURN_IF_ERROR(CheckChunk(report, chunk, last_round));
  }
  return CheckBequests(report);
}

absl::Status CheckNothingLost(const SimulationReport& report) {
  for (const auto& [worker, history] : report.histories()) {
    for (const auto& [chunk, entries] : history) {
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

}  // namespace tally
