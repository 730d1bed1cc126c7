// A real worker is killed with SIGKILL in the middle of a run and does not come back: the others go
// on without it and stay equal.
#include <string>
#include <vector>

#include "examples/training_report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/training_run.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::Field;
using ::testing::SizeIs;

class WorkerChaosTest : public testing::TestWithParam<std::string> {};

TEST_P(WorkerChaosTest, TheOthersGoOnAndStayEqual) {
  const absl::StatusOr<std::vector<TrainingReport>> reports = RunTraining(
      {.name = GetParam(),
       .num_aggregators = 2,
       .num_workers = 4,
       .worker_flags = {"--optimizer=" + GetParam(), "--rounds=120", "--warmup_rounds=10",
                        "--arrival_jitter_ms=25"},
       .kill_interval = absl::Seconds(1),
       .killed_worker = 2,
       .aggregator_flags = {"--evict_after=2s", "--minority_after=4s", "--recover_after=1s"}});
  ASSERT_THAT(reports, IsOk());
  ASSERT_THAT(*reports, SizeIs(3));
  EXPECT_THAT(*reports,
              Each(Field(&TrainingReport::parameters_digest, reports->front().parameters_digest)));
  const std::vector<LossPoint>& losses = reports->front().validation_loss;
  EXPECT_LT(losses.back().loss, 0.8 * losses.front().loss);
}

INSTANTIATE_TEST_SUITE_P(ThreeMethods, WorkerChaosTest,
                         testing::Values("onebit_adam", "birder", "sketched_amsgrad"),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           return parameter.param;
                         });

}  // namespace
}  // namespace tally
