// Schedules of faults, and what must hold after each of them.
#ifndef TALLY_TESTS_SIMULATION_SCHEDULE_H_
#define TALLY_TESTS_SIMULATION_SCHEDULE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "tests/simulation/simulated_job.h"

namespace tally {

// A job of 1 to 16 workers and 1 to 4 aggregators, and faults of any mixture of kinds, all drawn
// from the seed.
SimulationOptions ScheduleOf(uint64_t seed);

// Runs the job with its faults and checks that
// - every worker that was not killed ends, with all rounds done (liveness);
// - they have one history (I1; but for those who were told that their Leave was not confirmed),
// whose every payload follows from the contributions that its headers
//   name (I3, I5), so that what is counted is what was taken out (I2);
// - no residual is lost unless some worker is (I10);
// - without faults of workers, newcomers and late members it is the history of the undisturbed run,
//   bit for bit.
// Returns what does not hold, naming worker, chunk and round.
absl::Status CheckSchedule(const SimulationOptions& options);

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_SCHEDULE_H_
