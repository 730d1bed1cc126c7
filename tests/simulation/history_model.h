// A second opinion on a chunk's history.
#ifndef TALLY_TESTS_SIMULATION_HISTORY_MODEL_H_
#define TALLY_TESTS_SIMULATION_HISTORY_MODEL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "aggregator/exchange_task.h"
#include "aggregator/job_description.h"
#include "aggregator/residual.h"
#include "codecs/roster.h"
#include "tests/simulation/applied_entry.h"
#include "tests/simulation/contribution_log.h"

namespace tally {

// Replays a history from its headers and from what workers have contributed, and shares no state
// with engines and sessions: every payload must follow (I3, I5), and what is tracked must sum up
// (I7).
class HistoryModel {
 public:
  // Begins with the genesis of a run whose members are `members`; `log` is that run's.
  HistoryModel(std::shared_ptr<const JobDescription> description, uint32_t chunk,
               const ContributionLog* log, std::vector<MemberId> members);

  // Another run resumes where this one stands.
  void Resume(const ContributionLog* log, std::vector<MemberId> members);

  // Returns DATA_LOSS, naming chunk and place, if the entry does not follow.
  absl::Status Append(const AppliedEntry& entry);

  // Of the entries so far, by process: the sum of what was counted of its contributions.
  const std::map<uint32_t, std::vector<double>>& counted() const { return counted_; }
  // Of the next exchange.
  const Roster& roster() const { return roster_; }
  // Of a tracked chunk, by the roster's workers: what each believes that the others know.
  const std::map<std::string, std::vector<float>>& tracked() const { return tracked_; }

 private:
  // Sums up `participants`' contributions, computes the result, and compares it.
  absl::Status Recompute(const AppliedEntry& entry, const std::vector<MemberId>& participants);
  void TakeResult(const ExchangeTask& task, const ExchangeOutcome& outcome,
                  const std::vector<MemberId>& participants);
  absl::Status CheckTracking() const;
  // Those who have come know what all share; those who have gone are forgotten.
  void TrackRoster();
  absl::Status Wrong(const AppliedEntry& entry, const std::string& what) const;

  const std::shared_ptr<const JobDescription> description_;
  const uint32_t chunk_;
  const bool tracks_;
  const ContributionLog* log_;
  Roster roster_;
  uint64_t chain_ = 0;
  std::shared_ptr<Residual> residual_;
  std::vector<uint32_t> candidates_;
  std::map<uint32_t, std::vector<double>> counted_;
  std::map<std::string, std::vector<float>> tracked_;
  std::vector<float> shared_;  // what all know of the mean of what is tracked
};

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_HISTORY_MODEL_H_
