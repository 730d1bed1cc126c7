#include "tests/simulation/schedule.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/choices.h"
#include "base/status_macros.h"
#include "tests/simulation/invariants.h"
#include "tests/simulation/simulation_report.h"

namespace tally {
namespace {

absl::Status CheckJob(const SimulationOptions& options, uint32_t job,
                      const SimulationReport& report) {
  TALLY_RETURN_IF_ERROR(report.status);
  TALLY_RETURN_IF_ERROR(CheckInvariants(report, options.rounds - 1));
  if (!report.killed_workers.empty() || !report.late_leavers.empty() ||
      !report.evicted_workers.empty()) {
    return absl::OkStatus();
  }
  if (!report.anybody_evicted) TALLY_RETURN_IF_ERROR(CheckNothingLost(report));
  // Who came or went when, and who was late, depends on the time that faults take.
  if (!report.newcomers.empty() || !report.early_leavers.empty() || options.max_late > 0) {
    return absl::OkStatus();
  }
  SimulationOptions calm = options.Undisturbed();
  calm.lone_job = job;
  const SimulationReport undisturbed = std::move(Simulate(calm).jobs.front());
  TALLY_RETURN_IF_ERROR(undisturbed.status);
  const std::string difference =
      FirstDifference(report, undisturbed, /*with_chains=*/!options.restart_after.has_value());
  if (difference.empty()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(difference, " in the undisturbed run"));
}

absl::Status CheckMemory(size_t index, const AggregatorReport& aggregator) {
  // Of the engine itself, and of streams that it has let go.
  constexpr uint64_t kOwnBytes = 64 << 10;
  if (static_cast<uint64_t>(aggregator.peak_bytes) <= aggregator.admitted_bytes + kOwnBytes) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat("agg-", index, " has held ", aggregator.peak_bytes,
                                          " bytes, but has admitted its jobs with ",
                                          aggregator.admitted_bytes));
}

}  // namespace

SimulationOptions ScheduleOf(uint64_t seed) {
  Choices choices(seed, /*purpose=*/4);
  SimulationOptions options;
  options.seed = seed;
  options.workers = 1 + static_cast<uint32_t>(choices.Below(choices.OneIn(8) ? 16 : 6));
  options.aggregators = 1 + static_cast<uint32_t>(choices.Below(4));
  options.rounds = 5 + choices.Below(30);
  options.snapshot_interval = 1 + static_cast<uint32_t>(choices.Below(10));
  if (choices.OneIn(3)) options.window_chunks = 1 + static_cast<uint32_t>(choices.Below(2));
  options.dealt = choices.OneIn(3);
  const auto sometimes = [&](absl::Duration low, absl::Duration high) {
    const absl::Duration mean = choices.Between(low, high);
    return choices.OneIn(3) ? absl::InfiniteDuration() : mean;
  };
  options.aggregator_kills = sometimes(absl::Milliseconds(100), absl::Seconds(1));
  options.cuts = sometimes(absl::Milliseconds(50), absl::Seconds(1));
  options.worker_kills = sometimes(absl::Milliseconds(200), absl::Seconds(2));
  options.partitions = sometimes(absl::Milliseconds(300), absl::Seconds(3));
  options.pauses = sometimes(absl::Milliseconds(200), absl::Seconds(3));
  options.joins = sometimes(absl::Milliseconds(200), absl::Seconds(2));
  // Runs that nobody joins are compared with undisturbed ones.
  if (!choices.OneIn(2)) options.joins = absl::InfiniteDuration();
  if (choices.OneIn(4)) {
    options.max_late = 1 + static_cast<uint32_t>(choices.Below(options.workers));
    options.longest_thought = choices.Between(absl::Milliseconds(20), absl::Milliseconds(1500));
  }
  if (choices.OneIn(4)) options.leaves = choices.Between(absl::Milliseconds(200), absl::Seconds(2));
  if (choices.OneIn(4)) {
    // So that processes die after others were evicted. Streams are tried again every 2 s.
    options.evict_after = absl::Seconds(8);
    options.faults_for = choices.Between(absl::Seconds(3), absl::Seconds(40));
  }
  if (choices.OneIn(4)) options.jobs = 2 + static_cast<uint32_t>(choices.Below(2));
  if (choices.OneIn(6)) {
    // All workers of a run save themselves, or nobody resumes it.
    options.restart_after = choices.Below(options.rounds);
    options.worker_kills = options.joins = options.leaves = absl::InfiniteDuration();
    options.max_late = 0;
    if (choices.OneIn(2)) options.faults_for = absl::Minutes(2);
  }
  options.elastic = choices.OneIn(2);
  return options;
}

absl::Status CheckSchedule(const SimulationOptions& options) {
  const Simulated simulated = Simulate(options);
  for (uint32_t job = 0; job < simulated.jobs.size(); ++job) {
    TALLY_RETURN_IF_ERROR(CheckJob(options, job, simulated.jobs[job]));
  }
  for (size_t a = 0; a < simulated.aggregators.size(); ++a) {
    TALLY_RETURN_IF_ERROR(CheckMemory(a, simulated.aggregators[a]));
  }
  return absl::OkStatus();
}

}  // namespace tally
