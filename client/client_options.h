// What a worker must know to join a run.
#ifndef TALLY_CLIENT_CLIENT_OPTIONS_H_
#define TALLY_CLIENT_CLIENT_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/fault_plan.h"
#include "codecs/layout.h"
#include "codecs/limits.h"

namespace tally {

// One aggregator of a job: the name it was started with, and where it listens.
struct AggregatorAddress {
  std::string name;
  std::string address;  // "host:port" or "unix:/path"
};

// How a worker comes into a run.
enum class RunEntry : uint8_t {
  kBegin,  // with the others; if the run has begun and the trainer is elastic, as kJoin
  kJoin,   // into a run that goes on, from the others' state; never begins one
  kWatch,  // likewise, but never takes part: an evaluator, a hot spare, one who saves checkpoints
};

struct ClientOptions {
  // The training job; equal on all workers.
  std::string job;
  // This worker, by a name that survives its restarts ("w-5"); unique in the job.
  std::string worker;
  // In the order that places chunks: chunk c lives on aggregators[c % size]. Equal on all workers.
  std::vector<AggregatorAddress> aggregators;
  // Equal on all workers.
  absl::optional<Layout> layout;
  // Workers that start the run together. Equal on all workers.
  uint32_t expected_workers = 1;
  // Workers that the run may grow to; 0: expected_workers. Equal on all workers.
  uint32_t roster_limit = 0;
  // Tells one start of the job from the next; drawn by the launcher, equal on all workers.
  uint64_t run = 0;
  // Key of all random draws. Equal on all workers.
  uint64_t seed = 0;
  // Digest of the initial parameters (base/digest.h): workers that start from different ones are
  // refused. Equal on all.
  uint64_t initial_state_digest = 0;
  // Where the run begins to count. Equal on all workers. 0 with `saved_run`, which says where.
  uint64_t first_round = 0;
  // The run resumes where all of its workers have saved it: what Client::SaveRun gave this worker
  // there. Empty: it begins anew.
  std::string saved_run;
  // Results of a chunk between two snapshots of its aggregator's residual, which a worker keeps for
  // the case that the aggregator is killed: small is quick to recover and costs traffic, 32 / (n *
  // interval) bits per parameter, worker and round down. Equal on all workers.
  uint32_t snapshot_interval = kDefaultSnapshotInterval;

  // Workers without whose contributions a round may close when they are late, as long as more than
  // half are there; 0: rounds wait for everybody. Their gradients stay with them, where the method
  // has a residual, for the next round. Equal on all workers.
  uint32_t max_late = 0;
  // How long rounds wait for late workers at most; how long they do follows from how workers have
  // arrived lately. Equal on all workers.
  absl::Duration late_ceiling = absl::Seconds(kDefaultLateCeilingSeconds);

  // The trainer can hand the replicated state to a newcomer (Client::state_wanted, GiveState) and
  // can start from one (Client::joined_state): then the worker may come into a run that goes on.
  bool elastic = false;
  // Workers of one run may differ in it.
  RunEntry entry = RunEntry::kBegin;

  // How long Connect waits for aggregators to come up and for the other workers to arrive.
  absl::Duration start_timeout = absl::Minutes(5);
  // How long a round may make no progress at an aggregator before NextResult gives up with the
  // reason.
  absl::Duration aggregator_timeout = absl::Minutes(10);
  // How long a worker that leaves stays to hand its residual over to another one.
  absl::Duration handover_timeout = absl::Minutes(1);
  // Faults that are injected into this worker, to test the job: none by default.
  FaultPlan faults;

  // Largest pause between two signs of life.
  absl::Duration heartbeat_interval = absl::Seconds(1);
};

// Returns INVALID_ARGUMENT, naming field, value and rule, if `job`, `worker` or an aggregator's
// name is not 1 to kMaxNameBytes bytes of UTF-8; there is no aggregator or more than
// kMaxAggregators; two have the same name; an address is empty; `layout` is unset;
// `expected_workers` is not from 1 to kMaxRoster; `roster_limit` is neither 0 nor from
// `expected_workers` to kMaxRoster; `first_round` is above kMaxRound; `saved_run`
// is not empty and damaged, another worker's or of another layout, or `first_round` is set beside
// it; `max_late` is above kMaxRoster; `snapshot_interval` is not
// from 1 to kMaxSnapshotInterval; a duration is not positive or infinite; or a mean time of
// `faults` is not positive, or their delay negative or infinite.
absl::Status ValidateClientOptions(const ClientOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_CLIENT_OPTIONS_H_
