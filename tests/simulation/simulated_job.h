// One job of a simulation: its workers, and what happens to them.
#ifndef TALLY_TESTS_SIMULATION_SIMULATED_JOB_H_
#define TALLY_TESTS_SIMULATION_SIMULATED_JOB_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/choices.h"
#include "client/client_options.h"
#include "codecs/layout.h"
#include "codecs/roster.h"
#include "tests/simulation/simulated_aggregator.h"
#include "tests/simulation/simulated_network.h"
#include "tests/simulation/simulated_worker.h"
#include "tests/simulation/simulation.h"
#include "tests/simulation/simulation_report.h"

namespace tally {

class SimulatedJob {
 public:
  // `index`: which of the simulation's jobs. What is passed must outlive it.
  SimulatedJob(const SimulationOptions& options, uint32_t index, SimulatedNetwork* network,
               SimulatedAggregators* aggregators);

  bool finished() const;
  // Memory that the aggregator has admitted it with.
  uint64_t AdmittedBytes(uint32_t aggregator) const;
  // After the end; once.
  SimulationReport Report();

  // Faults of one of its workers, or of one that comes: chance says which one. Nothing happens
  // where it must not.
  void KillWorker();
  void PartWorker();
  void PauseWorker(absl::Time until);
  void Join();
  void Leave();
  // A fault that is the job's.
  void Play(const ScriptedFault& fault, absl::Time end);

 private:
  JobDescription DescriptionAt(uint32_t aggregator) const;
  ClientOptions OptionsOf(const std::string& worker) const;
  // `process` keeps the books, which go on with another one that has what this one `saved`.
  void Start(MemberId member, ClientOptions options, uint32_t process,
             const SimulatedWorker::Saved* saved);
  void StartNewcomer(const std::string& worker, RunEntry entry, uint32_t process,
                     const SimulatedWorker::Saved* kept);
  // The worker at that position was evicted while it lived: soon it comes again, with what it keeps
  // to itself.
  void AwaitReturn(size_t position);
  void LeaveEarly(SimulatedWorker& worker);
  void Part(SimulatedWorker& worker, size_t aggregator, absl::Time until);
  // Nobody starts a run without those that it expects, and nobody waits for them for ever.
  bool all_started() const;
  bool IsNewcomer(const SimulatedWorker& worker) const;
  // Some aggregator has told its operator so of this job.
  bool WasAnnounced(const std::string& event) const;
  // The workers, all of which have saved themselves, stood at the same place of one history.
  bool SavedOneHistory() const;
  // It was, and knows, if only that the run has gone on: an aggregator that has forgotten the run
  // and read it back says no more.
  bool WasEvicted(const SimulatedWorker& worker) const;
  // Ends all processes when all have saved themselves, and lets others resume the run.
  void AwaitRestart();
  void EndRun();
  void ResumeRun();

  absl::Status Verdict() const;
  // What the present processes saw of the present run, up to that round.
  RunReport ReportRun(uint64_t last_round) const;
  void ReportBooks();
  void ReportBequests();

  const SimulationOptions options_;
  const uint32_t index_;
  const Layout layout_;
  SimulatedNetwork* const network_;
  SimulatedAggregators* const aggregators_;
  Choices faults_;
  // Of the present run.
  std::shared_ptr<ContributionLog> log_ = std::make_shared<ContributionLog>();
  std::vector<MemberId> members_;
  // Those who begin the run, then newcomers.
  std::vector<std::unique_ptr<SimulatedWorker>> workers_;
  // Of the run before. Dead.
  std::vector<std::unique_ptr<SimulatedWorker>> former_workers_;
  bool is_down_ = false;
  uint32_t num_processes_ = 0;
  // Have come again since.
  std::set<const SimulatedWorker*> returned_;
  uint32_t num_returning_ = 0;
  // Processes that could not be told of everything that they contributed whether it counts.
  std::set<uint32_t> unsettled_processes_;
  uint32_t num_joins_ = 0;
  SimulationReport report_;
};

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_SIMULATED_JOB_H_
