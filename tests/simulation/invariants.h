// What must hold after every simulated job.
#ifndef TALLY_TESTS_SIMULATION_INVARIANTS_H_
#define TALLY_TESTS_SIMULATION_INVARIANTS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "tests/simulation/simulation_report.h"

namespace tally {

// Checks that
// - the workers have one history per chunk (I1; but for those who were told that their Leave was
//   not confirmed, or that they were evicted), newcomers from their state on;
// - its every payload follows from what those whom the headers name have contributed (I3, I5), and
//   what is tracked sums up (I7);
// - what each worker has taken out is what headers count of it, element by element (I2, I4, I6),
//   but for an evicted one that had read a result which a crash undid;
// - what leavers handed over was taken, once (I9).
// `last_round` is the job's. Returns what does not hold, naming worker, chunk and round.
absl::Status CheckInvariants(const SimulationReport& report, uint64_t last_round);

// That no residual was lost (I10).
absl::Status CheckNothingLost(const SimulationReport& report);

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_INVARIANTS_H_
