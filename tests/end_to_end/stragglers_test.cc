// A run whose rounds close without a worker that is slower than the others.
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

class StragglersTest : public testing::TestWithParam<std::string> {};

TEST_P(StragglersTest, TheOthersGoOnAndAllEndEqual) {
  const absl::StatusOr<std::vector<TrainingReport>> reports = RunTraining(
      {.name = GetParam(),
       .num_aggregators = 2,
       .num_workers = 4,
       .worker_flags = {"--optimizer=" + GetParam(), "--rounds=120", "--warmup_rounds=10",
                        "--local_step_scaler=20", "--chunk_elements=4096", "--arrival_jitter_ms=10",
                        "--max_late=1", "--late_ceiling=2s"},
       .flags_of_worker = {{3, {"--arrival_jitter_ms=150"}}}});
  ASSERT_THAT(reports, IsOk());
  ASSERT_THAT(*reports, SizeIs(4));
  EXPECT_THAT(*reports,
              Each(Field(&TrainingReport::parameters_digest, reports->front().parameters_digest)));
  EXPECT_GT((*reports)[3].missed_contributions, 0u);
  const std::vector<LossPoint>& losses = reports->front().validation_loss;
  EXPECT_LT(losses.back().loss, 0.8 * losses.front().loss);
}

INSTANTIATE_TEST_SUITE_P(Methods, StragglersTest,
                         testing::Values("onebit_adam", "zeroone_adam", "birder", "cd_adam",
                                         "sketched_amsgrad"),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           return parameter.param;
                         });

}  // namespace
}  // namespace tally
