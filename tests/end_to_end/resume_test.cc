// Whole runs that end, and begin again from the checkpoints of all workers, with other aggregator
// processes: not a bit is changed by it.
#include <filesystem>
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

class ResumeTest : public testing::TestWithParam<std::string> {
 protected:
  ResumeTest() : directory_(absl::StrCat(testing::TempDir(), "/", GetParam(), "_checkpoints")) {
    std::filesystem::create_directories(directory_);
  }

  absl::StatusOr<std::vector<TrainingReport>> Run(const std::string& name,
                                                  std::vector<std::string> flags) const {
    flags.insert(flags.end(), {"--optimizer=" + GetParam(), "--rounds=60", "--warmup_rounds=10",
                               "--local_step_scaler=10", "--chunk_elements=4096",
                               "--checkpoints=" + directory_});
    return RunTraining({.name = absl::StrCat(GetParam(), "_", name),
                        .num_aggregators = 2,
                        .num_workers = 3,
                        .worker_flags = flags});
  }

  const std::string directory_;
};

TEST_P(ResumeTest, GoesOnBitIdentically) {
  const absl::StatusOr<std::vector<TrainingReport>> whole = Run("whole", {"--checkpoint_every=30"});
  ASSERT_THAT(whole, IsOk());
  const absl::StatusOr<std::vector<TrainingReport>> resumed = Run("resumed", {"--resume_after=30"});
  ASSERT_THAT(resumed, IsOk());
  EXPECT_EQ(resumed->front().training_loss.size(), whole->front().training_loss.size() - 30);
  EXPECT_THAT(*resumed, AllOf(SizeIs(3), Each(Field(&TrainingReport::parameters_digest,
                                                    whole->front().parameters_digest))));
}

INSTANTIATE_TEST_SUITE_P(Methods, ResumeTest,
                         testing::Values("dense_adam", "onebit_adam", "zeroone_adam", "onebit_lamb",
                                         "birder", "cd_adam", "sketched_amsgrad", "topk_sgd"),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           return parameter.param;
                         });

}  // namespace
}  // namespace tally
