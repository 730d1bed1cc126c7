// What has become of a simulated job.
#ifndef TALLY_TESTS_SIMULATION_SIMULATION_REPORT_H_
#define TALLY_TESTS_SIMULATION_SIMULATION_REPORT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "aggregator/job_description.h"
#include "codecs/roster.h"
#include "tests/simulation/applied_entry.h"
#include "tests/simulation/contribution_log.h"
#include "tests/simulation/simulated_worker.h"

namespace tally {

// One run of the job.
struct RunReport {
  std::shared_ptr<const ContributionLog> log;
  // Who began it.
  std::vector<MemberId> members;
  // By worker; of a run that another one resumed, up to there. Of a worker's processes the last one
  // speaks for it.
  std::map<std::string, History> histories;
  // By worker and process, as SimulatedWorker::replicas.
  std::vector<std::pair<std::string, std::set<std::pair<uint64_t, uint64_t>>>> replicas;
};

// What a process has kept to itself when it ended, and knew of all that it had contributed whether
// it counts.
struct ClosedBooks {
  uint32_t process = 0;
  MemberId member;  // as it was known in the end
  PrivateState own;
  // It was in every round from the first to the last one, or from when it came.
  bool saw_the_end = false;
};

struct SimulationReport {
  // OK if every worker has finished all rounds and left; else what failed, or who was stuck where.
  absl::Status status;
  std::shared_ptr<const JobDescription> description;
  // The last one, and those before that it has resumed.
  std::vector<RunReport> runs;
  const std::map<std::string, History>& histories() const { return runs.back().histories; }

  std::vector<std::string> killed_workers;
  // Workers whose Leave ended with DEADLINE_EXCEEDED: it is not known who has their last results.
  std::vector<std::string> late_leavers;
  // Aggregators have told their operators of an eviction, maybe of a leaver's, which no header
  // names; or that they give up waiting for one that has left.
  bool anybody_evicted = false;
  // Aggregators have told them that replicated states differ.
  bool anybody_drifted = false;
  // Workers that were held for dead while they stood still, and told so.
  std::vector<std::string> evicted_workers;
  // Workers that were late, returned to observer, and had not come in again when the run was over.
  std::vector<std::string> outrun_workers;
  // Workers that left while others went on.
  std::vector<std::string> early_leavers;
  // Of those of them that ended as they wished: squared norms.
  struct Bequeathed {
    double handed_over = 0;
    double discarded = 0;
    double inherited = 0;  // by others
  };
  std::map<std::string, Bequeathed> bequests;
  std::vector<Settlement> settlements;
  std::vector<ClosedBooks> books;
  // Residuals of a chunk that somebody took twice.
  uint64_t inherited_twice = 0;
  // Workers that came when the run had begun, and took part or not.
  std::vector<std::string> newcomers;
  // Contributions that evicted workers had seen counted, in a history that did not survive.
  uint64_t undone_contributions = 0;
  // Contributions that a round closed without.
  uint64_t late_contributions = 0;
  // Entries that count the contribution of a newcomer.
  uint64_t joined_contributions = 0;
};

// Where two lives of a job first differ, for people; empty: nowhere. Compares payloads and who took
// part, and `with_chains` all that headers hold: not where one life was saved or resumed.
std::string FirstDifference(const SimulationReport& life, const SimulationReport& other,
                            bool with_chains);

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_SIMULATION_REPORT_H_
