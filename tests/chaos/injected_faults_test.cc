// Workers that inject faults into themselves, as users would to test a job: streams are cut and
// messages come late, and not a bit changes.
#include <string>
#include <vector>

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

std::vector<TrainingReport> Reports(const std::string& method, const std::string& faults) {
  const absl::StatusOr<std::vector<TrainingReport>> reports =
      RunTraining({.name = method + (faults.empty() ? "" : "_faulty"),
                   .num_aggregators = 2,
                   .num_workers = 3,
                   .worker_flags = {"--optimizer=" + method, "--rounds=80", "--warmup_rounds=10",
                                    "--faults=" + faults}});
  EXPECT_THAT(reports, IsOk());
  return reports.ok() ? *reports : std::vector<TrainingReport>();
}

TEST(InjectedFaultsTest, CutStreamsAndLateMessagesChangeNoBit) {
  for (const char* method : {"onebit_adam", "sketched_amsgrad"}) {
    const std::vector<TrainingReport> calm = Reports(method, "");
    ASSERT_THAT(calm, SizeIs(3));
    EXPECT_THAT(Reports(method, "seed=5,cut=300ms,delay=10ms"),
                AllOf(SizeIs(3),
                      Each(Field(&TrainingReport::parameters_digest, calm[0].parameters_digest))));
  }
}

}  // namespace
}  // namespace tally
