// Checks schedules of faults, one seed after the other, for as long as one likes:
//   bazel run //tests/simulation:soak -- --seconds=3600 --first_seed=1000000
// Stops at the first that breaks an invariant and prints its seed.
#include <cstdio>
#include <cstdlib>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/simulation/schedule.h"

ABSL_FLAG(uint64_t, first_seed, 1'000'000, "The seed of the first schedule.");
ABSL_FLAG(uint64_t, schedules, ~uint64_t{0}, "How many schedules at most.");
ABSL_FLAG(uint64_t, seconds, 60, "For how long.");

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  const absl::Time end = absl::Now() + absl::Seconds(absl::GetFlag(FLAGS_seconds));
  const uint64_t first = absl::GetFlag(FLAGS_first_seed);
  uint64_t seed = first;
  for (; seed - first < absl::GetFlag(FLAGS_schedules) && absl::Now() < end; ++seed) {
    const absl::Status status = tally::CheckSchedule(tally::ScheduleOf(seed));
    if (status.ok()) continue;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
                status.ToString().c_str());
    return EXIT_FAILURE;
  }
  std::printf("%llu schedules from seed %llu on: every invariant held\n",
              static_cast<unsigned long long>(seed - first),
              static_cast<unsigned long long>(first));
  return EXIT_SUCCESS;
}
