// Real aggregators are killed with SIGKILL in the middle of a run, or told to go, and started again
// with an empty memory: the workers end with the parameters of an undisturbed run.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "examples/training_report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/training_run.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::Field;
using ::testing::SizeIs;

constexpr int kKills = 4;

std::vector<TrainingReport> Reports(const std::string& optimizer, int kills, bool drain) {
  const absl::StatusOr<std::vector<TrainingReport>> reports =
      RunTraining({.name = absl::StrCat(optimizer, "_", kills, drain ? "_drained" : ""),
                   .num_aggregators = 2,
                   .num_workers = 3,
                   .worker_flags = {absl::StrCat("--optimizer=", optimizer), "--rounds=120",
                                    "--warmup_rounds=10",
                                    // Makes the run longer than the kills.
                                    absl::StrCat("--arrival_jitter_ms=", kills == 0 ? 0 : 25)},
                   .aggregator_kills = kills,
                   .aggregators_drain = drain});
  EXPECT_THAT(reports, IsOk());
  return reports.ok() ? *reports : std::vector<TrainingReport>();
}

class AggregatorChaosTest : public testing::TestWithParam<std::string> {};

TEST_P(AggregatorChaosTest, KilledAggregatorsChangeNoBit) {
  const std::vector<TrainingReport> undisturbed = Reports(GetParam(), 0, /*drain=*/false);
  ASSERT_THAT(undisturbed, SizeIs(3));
  EXPECT_THAT(Reports(GetParam(), kKills, /*drain=*/false),
              AllOf(SizeIs(3), Each(Field(&TrainingReport::parameters_digest,
                                          undisturbed[0].parameters_digest))));
}

TEST_P(AggregatorChaosTest, AggregatorsThatAreToldToGoChangeNoBit) {
  const std::vector<TrainingReport> undisturbed = Reports(GetParam(), 0, /*drain=*/true);
  ASSERT_THAT(undisturbed, SizeIs(3));
  EXPECT_THAT(Reports(GetParam(), kKills, /*drain=*/true),
              AllOf(SizeIs(3), Each(Field(&TrainingReport::parameters_digest,
                                          undisturbed[0].parameters_digest))));
}

// One method with a residual at the aggregator, one with random draws there, one with two halves.
INSTANTIATE_TEST_SUITE_P(ThreeMethods, AggregatorChaosTest,
                         testing::Values("onebit_adam", "birder", "sketched_amsgrad"),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           return parameter.param;
                         });

}  // namespace
}  // namespace tally
