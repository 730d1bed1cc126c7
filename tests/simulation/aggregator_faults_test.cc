// Aggregators are killed and streams are cut; the run must go on as if nothing had happened.
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
  options.workers = 1 + static_cast<uint32_t>(seed % 5);
  options.aggregators = 1 + static_cast<uint32_t>(seed % 3);
  options.dealt = seed % 4 == 0;
  options.snapshot_interval = 1 + static_cast<uint32_t>(seed % 7);
  return options;
}

TEST(AggregatorFaultsTest, UndisturbedRunEnds) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const SimulationReport report = Simulate(OptionsOf(seed));
    EXPECT_THAT(report.status, IsOk()) << "seed " << seed;
  }
}

TEST(AggregatorFaultsTest, KilledAggregatorsChangeNoBit) {
  uint64_t kills = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    SimulationOptions options = OptionsOf(seed);
    const SimulationReport undisturbed = Simulate(options);
    ASSERT_THAT(undisturbed.status, IsOk());
    options.aggregator_kills = absl::Milliseconds(400);
    options.cuts = absl::Milliseconds(300);
    const SimulationReport disturbed = Simulate(options);
    ASSERT_THAT(disturbed.status, IsOk());
    ASSERT_EQ(FirstDifference(disturbed, undisturbed), "");
    kills += disturbed.aggregator_kills;
  }
  EXPECT_GT(kills, 300u) << "the test disturbs too little";
}

}  // namespace
}  // namespace tally
