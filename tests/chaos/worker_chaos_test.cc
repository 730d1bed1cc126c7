// A real worker is killed with SIGKILL in the middle of a run. It does not come back, and the
// others go on without it and stay equal; or it does, and gets the state from another one.
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

TEST_P(WorkerChaosTest, ANewProcessOfItComesInAndEndsWithTheOthersParameters) {
  const absl::StatusOr<std::vector<TrainingReport>> reports = RunTraining(
      {.name = GetParam() + "_returns",
       .num_aggregators = 2,
       .num_workers = 4,
       .worker_flags = {"--optimizer=" + GetParam(), "--rounds=200", "--warmup_rounds=10",
                        "--arrival_jitter_ms=25", "--chunk_elements=4096"},
       .kill_interval = absl::Seconds(1),
       .killed_worker = 2,
       .killed_worker_returns = true});
  ASSERT_THAT(reports, IsOk());
  ASSERT_THAT(*reports, SizeIs(4));
  EXPECT_GT((*reports)[2].joined_after, 0u);
  // It has computed gradients again.
  EXPECT_GT((*reports)[2].training_loss.size(), 10u);
  EXPECT_LT((*reports)[2].training_loss.size(), 200u);
  EXPECT_THAT(*reports,
              Each(Field(&TrainingReport::parameters_digest, reports->front().parameters_digest)));
}

TEST_P(WorkerChaosTest, AProcessThatWasHeldForDeadComesInAgain) {
  const absl::StatusOr<std::vector<TrainingReport>> reports = RunTraining(
      {.name = GetParam() + "_stands_still",
       .num_aggregators = 2,
       .num_workers = 4,
       .worker_flags = {"--optimizer=" + GetParam(), "--rounds=300", "--warmup_rounds=10",
                        "--arrival_jitter_ms=25", "--chunk_elements=4096"},
       .kill_interval = absl::Seconds(1),
       .paused_worker = 2,
       .aggregator_flags = {"--evict_after=2s", "--minority_after=4s", "--recover_after=1s"}});
  ASSERT_THAT(reports, IsOk());
  ASSERT_THAT(*reports, SizeIs(4));
  EXPECT_GT((*reports)[2].joined_after, 0u) << "it has come anew";
  EXPECT_GT((*reports)[2].training_loss.size(), 10u);
  EXPECT_THAT(*reports,
              Each(Field(&TrainingReport::parameters_digest, reports->front().parameters_digest)));
}

INSTANTIATE_TEST_SUITE_P(ThreeMethods, WorkerChaosTest,
                         testing::Values("onebit_adam", "birder", "sketched_amsgrad"),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           return parameter.param;
                         });

}  // namespace
}  // namespace tally
