// A worker that leaves while the others go on.
#include <string>
#include <vector>

#include "examples/training_report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/training_run.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::SizeIs;

class LeaveTest : public testing::TestWithParam<std::string> {
 protected:
  static TrainingRunOptions Options() {
    return {.name = GetParam(),
            .num_aggregators = 2,
            .num_workers = 4,
            .worker_flags = {"--optimizer=" + GetParam(), "--rounds=120", "--warmup_rounds=10",
                             "--local_step_scaler=20", "--chunk_elements=4096"},
            .flags_of_worker = {{3, {"--leave_after=40"}}}};
  }
  // Those of the workers that stay are equal.
  static void ExpectOthersEqual(const std::vector<TrainingReport>& reports) {
    ASSERT_THAT(reports, SizeIs(4));
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_GE(reports[i].rounds, 120u);
      EXPECT_EQ(reports[i].parameters_digest, reports[0].parameters_digest) << i;
    }
    EXPECT_LT(reports[3].rounds, 60u);
  }
};

TEST_P(LeaveTest, ItsResidualGoesToAnotherOne) {
  const absl::StatusOr<std::vector<TrainingReport>> reports = RunTraining(Options());
  ASSERT_THAT(reports, IsOk());
  ExpectOthersEqual(*reports);
  EXPECT_GT(reports->back().handed_over_norm, 0);
  EXPECT_EQ(reports->back().discarded_norm, 0);
}

INSTANTIATE_TEST_SUITE_P(Methods, LeaveTest,
                         testing::Values("onebit_adam", "onebit_lamb", "zeroone_adam", "topk_sgd",
                                         "sketched_sgd", "sketched_amsgrad"),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           return parameter.param;
                         });

class LeaveWithoutResidualTest : public LeaveTest {};

TEST_P(LeaveWithoutResidualTest, TheOthersGoOn) {
  const absl::StatusOr<std::vector<TrainingReport>> reports = RunTraining(Options());
  ASSERT_THAT(reports, IsOk());
  ExpectOthersEqual(*reports);
  EXPECT_EQ(reports->back().handed_over_norm, 0);
  EXPECT_EQ(reports->back().discarded_norm, 0);
}

INSTANTIATE_TEST_SUITE_P(Methods, LeaveWithoutResidualTest,
                         testing::Values("dense_adam", "birder", "cd_adam"),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           return parameter.param;
                         });

class LeaveDuringKillsTest : public LeaveTest {};

TEST_P(LeaveDuringKillsTest, WhatIsHandedOverSurvivesAggregatorsThatAreKilled) {
  TrainingRunOptions options = Options();
  options.aggregator_kills = 4;
  options.worker_flags.push_back("--arrival_jitter_ms=10");
  const absl::StatusOr<std::vector<TrainingReport>> reports = RunTraining(options);
  ASSERT_THAT(reports, IsOk());
  ExpectOthersEqual(*reports);
  EXPECT_GT(reports->back().handed_over_norm, 0);
  EXPECT_EQ(reports->back().discarded_norm, 0);
}

INSTANTIATE_TEST_SUITE_P(Methods, LeaveDuringKillsTest, testing::Values("onebit_adam", "topk_sgd"),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           return parameter.param;
                         });

}  // namespace
}  // namespace tally
