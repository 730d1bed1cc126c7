// Schedules of faults, and what must hold after each of them.
#ifndef TALLY_TESTS_SIMULATION_SCHEDULE_H_
#define TALLY_TESTS_SIMULATION_SCHEDULE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "tests/simulation/simulation.h"

namespace tally {

// One to three jobs of 1 to 16 workers on 1 to 4 aggregators, and faults of any mixture of kinds,
// all drawn from the seed.
SimulationOptions ScheduleOf(uint64_t seed);

// Runs the jobs with their faults and checks that
// - every worker that was not killed ends, with all rounds done (liveness);
// - every job's invariants hold (invariants.h);
// - no aggregator holds more memory than it has admitted the jobs with (I14);
// - no residual is lost unless some worker is;
// - a job without faults of workers, newcomers and late members has the history that it has alone
//   and undisturbed, bit for bit, also if it was ended and resumed.
// Returns what does not hold, naming worker, chunk and round.
absl::Status CheckSchedule(const SimulationOptions& options);

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_SCHEDULE_H_
