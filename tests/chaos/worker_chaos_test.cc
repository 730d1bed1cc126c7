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

TEST_P(WorkerChaosTest, TheLossIsThatOfAnUndisturbedRun) {
  TrainingRunOptions options = {
      .name = GetParam() + "_undisturbed",
      .num_aggregators = 2,
      .num_workers = 4,
      .worker_flags = {"--optimizer=" + GetParam(), "--rounds=300", "--warmup_rounds=30",
                       "--arrival_jitter_ms=10", "--chunk_elements=4096"},
      .aggregator_flags = {"--evict_after=2s", "--minority_after=4s", "--recover_after=1s"}};
  const absl::StatusOr<std::vector<TrainingReport>> undisturbed = RunTraining(options);
  ASSERT_THAT(undisturbed, IsOk());
  options.name = GetParam() + "_disturbed";
  options.killed_worker = 2;
  options.killed_worker_returns = true;
  options.paused_worker = 3;
  options.pause = absl::Seconds(3);
  const absl::StatusOr<std::vector<TrainingReport>> disturbed = RunTraining(options);
  ASSERT_THAT(disturbed, IsOk());
  const double expected = undisturbed->front().validation_loss.back().loss;
  const double loss = disturbed->front().validation_loss.back().loss;
  EXPECT_LT(loss, 1.03 * expected);
  EXPECT_GT(loss, 0.97 * expected);
  RecordProperty("undisturbed", std::to_string(expected));
  RecordProperty("disturbed", std::to_string(loss));
}

INSTANTIATE_TEST_SUITE_P(ThreeMethods, WorkerChaosTest,
                         testing::Values("onebit_adam", "birder", "sketched_amsgrad"),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           return parameter.param;
                         });

}  // namespace
}  // namespace tally
