// A whole job in one thread: real engines and real sessions, and around them a network, clocks and
// processes that are simulated.
#ifndef TALLY_TESTS_SIMULATION_SIMULATED_JOB_H_
#define TALLY_TESTS_SIMULATION_SIMULATED_JOB_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "codecs/layout.h"
#include "codecs/place.h"
#include "codecs/roster.h"
#include "proto/tally/v1/exchange.pb.h"
#include "tests/simulation/event_queue.h"

namespace tally {

class SimulatedAggregator;
class SimulatedWorker;

// A fault at a given time, where chance is not wanted.
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
  uint32_t workers = 4;
  uint32_t aggregators = 2;
  uint64_t rounds = 40;
  uint32_t snapshot_interval = 4;
  // Members that may be late, and the longest time that a worker computes: mostly it is 20 ms.
  uint32_t max_late = 0;
  absl::Duration longest_thought = absl::Milliseconds(20);
  // Dealt out for sketches, or contiguous.
  bool dealt = false;
  // Mean time between two faults of each sort; infinite: none.
  absl::Duration aggregator_kills = absl::InfiniteDuration();
  absl::Duration cuts = absl::InfiniteDuration();
  // Times in which a worker cannot reach one of the aggregators, sometimes for longer than it takes
  // to be evicted there.
  absl::Duration partitions = absl::InfiniteDuration();
  // Workers that are killed for good, one after the other; at least one survives.
  absl::Duration worker_kills = absl::InfiniteDuration();
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
  // After this much simulated time the run counts as stuck.
  absl::Duration deadline = absl::Hours(1);
};

// Of all random draws of simulated runs.
inline constexpr uint64_t kSimulatedSeed = 7;
MemberId SimulatedMember(uint32_t index);

// An entry of a chunk's history, as a worker applied it.
struct AppliedEntry {
  Place place;
  uint64_t chain = 0;
  // The header names this worker.
  bool counted = false;
  v1::ResultHeader header;
};

// What a worker that was evicted was told of its last contribution to a chunk.
struct Settlement {
  MemberId member;
  uint32_t chunk = 0;
  Place place;
  bool counted = false;
};

struct SimulationReport {
  // OK if every worker has finished all rounds and left; else what failed, or who was stuck where.
  absl::Status status;
  // By worker and chunk.
  std::map<std::string, std::map<uint32_t, std::vector<AppliedEntry>>> histories;
  uint64_t aggregator_kills = 0;
  std::vector<std::string> killed_workers;
  // Workers whose Leave ended with DEADLINE_EXCEEDED: it is not known who has their last results.
  std::vector<std::string> late_leavers;
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
  // Residuals of a chunk that somebody took twice.
  uint64_t inherited_twice = 0;
  // Workers that came when the run had begun, and took part or not.
  std::vector<std::string> newcomers;
  // Contributions that a round closed without.
  uint64_t late_contributions = 0;
  // Entries that count the contribution of one of them.
  uint64_t joined_contributions = 0;
  uint64_t cuts = 0;
  uint64_t partitions = 0;
  uint64_t pauses = 0;
  absl::Duration duration;
};

// The job's layout: 600 compressed and 10 dense elements in some chunks, or in groups.
Layout SimulatedLayout(bool dealt);

// Replays a history by itself: every payload must follow from the scripted contributions of those
// whom its header names, and from the residual before. Returns what does not, naming chunk and
// round.
absl::Status CheckHistory(const SimulationOptions& options, uint32_t chunk,
                          const std::vector<AppliedEntry>& history);

// Where two runs of a job first differ, for people; empty: nowhere.
std::string FirstDifference(const SimulationReport& run, const SimulationReport& other);

// Runs a job to its end, or until it is stuck.
SimulationReport Simulate(const SimulationOptions& options);

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_SIMULATED_JOB_H_
