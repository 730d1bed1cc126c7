// Workers are killed for good, alone or together with aggregators: the others go on, with one
// history.
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/simulation/simulated_job.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

SimulationOptions OptionsOf(uint64_t seed) {
  SimulationOptions options;
  options.seed = seed;
  options.workers = 2 + static_cast<uint32_t>(seed % 5);
  options.aggregators = 1 + static_cast<uint32_t>(seed % 3);
  options.dealt = seed % 4 == 0;
  options.snapshot_interval = 1 + static_cast<uint32_t>(seed % 7);
  options.worker_kills = absl::Milliseconds(800);
  return options;
}

// Survivors have one history, and it is right.
void ExpectOneHistory(const SimulationOptions& options, const SimulationReport& report) {
  ASSERT_THAT(report.status, IsOk());
  const std::map<uint32_t, std::vector<AppliedEntry>>* first = nullptr;
  for (const auto& [worker, history] : report.histories) {
    const bool is_dead = std::find(report.killed_workers.begin(), report.killed_workers.end(),
                                   worker) != report.killed_workers.end();
    if (is_dead) continue;
    if (first == nullptr) first = &history;
    for (const auto& [chunk, entries] : history) {
      ASSERT_EQ(entries.size(), first->at(chunk).size()) << worker << ", chunk " << chunk;
      EXPECT_EQ(entries.back().chain, first->at(chunk).back().chain)
          << worker << ", chunk " << chunk;
    }
  }
  ASSERT_NE(first, nullptr);
  for (const auto& [chunk, entries] : *first) {
    EXPECT_THAT(CheckHistory(options, chunk, entries), IsOk());
  }
}

TEST(WorkerFaultsTest, SurvivorsGoOnWithOneHistory) {
  uint64_t kills = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const SimulationOptions options = OptionsOf(seed);
    const SimulationReport report = Simulate(options);
    ExpectOneHistory(options, report);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
    kills += report.killed_workers.size();
  }
  EXPECT_GT(kills, 200u) << "the test disturbs too little";
}

TEST(WorkerFaultsTest, SurvivorsGoOnThoughAggregatorsAreKilledToo) {
  for (uint64_t seed = 1000; seed < 1200; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    SimulationOptions options = OptionsOf(seed);
    options.aggregator_kills = absl::Milliseconds(600);
    options.cuts = absl::Milliseconds(300);
    const SimulationReport report = Simulate(options);
    ExpectOneHistory(options, report);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

}  // namespace
}  // namespace tally
