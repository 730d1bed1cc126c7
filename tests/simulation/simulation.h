// Whole jobs in one thread: real engines and real sessions, and around them a network, clocks and
// processes that are simulated.
#ifndef TALLY_TESTS_SIMULATION_SIMULATION_H_
#define TALLY_TESTS_SIMULATION_SIMULATION_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "tests/simulation/simulation_report.h"

namespace tally {

// A fault at a given time, where chance is not wanted. Workers are the first job's.
struct ScriptedFault {
  enum class Kind : uint8_t {
    kKillAggregator,   // and start it again
    kPauseAggregator,  // as under SIGSTOP
    kKillWorker,
    kPauseWorker,
    kReplaceWorker,  // another process of it comes, while this one may live
    kPart,           // the worker cannot reach the aggregator
    kLeaveWorker,    // it leaves while the others go on
  };
  Kind kind = Kind::kKillAggregator;
  absl::Duration at;
  // How long it is down, paused or parted.
  absl::Duration lasts;
  uint32_t aggregator = 0;
  uint32_t worker = 0;
};

struct SimulationOptions {
  // Of all choices: latencies, think times, faults.
  uint64_t seed = 1;
  // Jobs that share the aggregators. They differ in what they contribute, and take turns in being
  // dealt and not.
  uint32_t jobs = 1;
  // The only one of them that there is; unset: all.
  absl::optional<uint32_t> lone_job;
  // Of each job.
  uint32_t workers = 4;
  uint32_t aggregators = 2;
  uint64_t rounds = 40;
  uint32_t snapshot_interval = 4;
  // Chunks that a worker may send past the lowest incomplete one.
  uint32_t window_chunks = 16;
  // Members that may be late, and the longest time that a worker computes: mostly it is 20 ms.
  uint32_t max_late = 0;
  absl::Duration longest_thought = absl::Milliseconds(20);
  // The first job is dealt out for sketches, or contiguous.
  bool dealt = false;
  // All workers save themselves after that round; when they have, they are killed some rounds
  // later, and other processes resume the run. Unset: they do not.
  absl::optional<uint64_t> restart_after;
  // Mean time between two faults of each sort; infinite: none.
  absl::Duration aggregator_kills = absl::InfiniteDuration();
  absl::Duration cuts = absl::InfiniteDuration();
  // Times in which a worker cannot reach one of the aggregators, sometimes for longer than it takes
  // to be evicted there.
  absl::Duration partitions = absl::InfiniteDuration();
  // Workers that are killed for good, one after the other; at least one survives.
  absl::Duration worker_kills = absl::InfiniteDuration();
  // Who was evicted while it lives comes again, with its residual. In runs that are joined they do
  // in any case.
  bool elastic = false;
  // Workers that come when the run has begun: new ones, and new processes of killed ones.
  absl::Duration joins = absl::InfiniteDuration();
  // Workers that leave while others go on, and hand their residuals over.
  absl::Duration leaves = absl::InfiniteDuration();
  // Processes that stand still for a while, as under SIGSTOP: mostly a few seconds, sometimes
  // longer than it takes to be evicted.
  absl::Duration pauses = absl::InfiniteDuration();
  // Beside the random ones.
  std::vector<ScriptedFault> script;
  // Aggregators evict after this silence, after four times as long with few witnesses, and not
  // before their own first so long.
  absl::Duration evict_after = absl::Seconds(30);
  // Then the faults end: who only ever waits for a process that is killed again gives up, and may.
  absl::Duration faults_for = absl::Seconds(3);
  // After this much simulated time the jobs count as stuck.
  absl::Duration deadline = absl::Hours(1);

  // Nothing happens to anybody.
  SimulationOptions Undisturbed() const;
};

struct AggregatorReport {
  // What it has held at most, and what it has admitted its jobs with.
  int64_t peak_bytes = 0;
  uint64_t admitted_bytes = 0;
};

struct Simulated {
  // In order.
  std::vector<SimulationReport> jobs;
  std::vector<AggregatorReport> aggregators;
};

// Runs the jobs to their ends, or until they are stuck.
Simulated Simulate(const SimulationOptions& options);

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_SIMULATION_H_
