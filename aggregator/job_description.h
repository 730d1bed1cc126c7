// What all workers of a run must agree on, read from their Hellos.
#ifndef TALLY_AGGREGATOR_JOB_DESCRIPTION_H_
#define TALLY_AGGREGATOR_JOB_DESCRIPTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "codecs/layout.h"
#include "codecs/roster.h"
#include "proto/tally/v1/membership.pb.h"

namespace tally {

// A run of a job as this aggregator sees it. Immutable once made, so streams share it.
struct JobDescription {
  std::string job;
  uint64_t run = 0;
  uint64_t seed = 0;
  Layout layout;
  uint64_t layout_digest = 0;
  uint64_t settings_digest = 0;
  uint64_t initial_state_digest = 0;
  std::vector<std::string> aggregators;
  uint32_t aggregator_index = 0;
  uint32_t expected_workers = 0;
  uint32_t roster_limit = 0;
  uint64_t first_round = 0;
  // Results of a chunk between two snapshots of its residual.
  uint32_t snapshot_interval = 0;
  // Members without whose contributions an exchange may close; 0: it waits for everybody.
  uint32_t max_late = 0;
  // How long it waits for them at most.
  absl::Duration late_ceiling;
  // Unset: the run starts with all expected workers or not at all.
  absl::optional<absl::Duration> start_timeout;

  // Whether this aggregator owns the chunk.
  bool Places(uint32_t chunk) const { return chunk % aggregators.size() == aggregator_index; }
  // The chunks that it owns, ascending.
  std::vector<uint32_t> OwnChunks() const;
};

// A Hello that is well-formed by itself.
struct ValidHello {
  JobDescription description;
  MemberId member;
  v1::Intent intent = v1::INTENT_UNSPECIFIED;
};

// Checks everything about a Hello that needs no other worker's. `aggregator_name` is this
// aggregator's own. Returns INVALID_ARGUMENT, naming field, value and rule as
// proto/tally/v1/membership.proto states them; UNIMPLEMENTED for intents that this build does not
// serve.
absl::StatusOr<ValidHello> ValidateHello(const v1::Hello& hello, absl::string_view aggregator_name);

// Returns INVALID_ARGUMENT, naming the first field in which two workers of the same run differ,
// with both values.
absl::Status CheckSameRun(const JobDescription& running, const JobDescription& newcomer);
// The same for what only those must agree on who begin the run together: the initial state.
absl::Status CheckSameStart(const JobDescription& running, const JobDescription& starter);

}  // namespace tally

#endif  // TALLY_AGGREGATOR_JOB_DESCRIPTION_H_
