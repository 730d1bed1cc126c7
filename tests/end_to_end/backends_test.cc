// The same run with each of the aggregators' back ends: the same parameters, bit for bit.
#include "kernels/backends.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "examples/training_report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/backend.h"
#include "tests/end_to_end/training_run.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::Field;
using ::testing::SizeIs;

std::vector<TrainingReport> Reports(const std::string& name, const std::string& optimizer,
                                    const std::string& backend) {
  const absl::StatusOr<std::vector<TrainingReport>> reports =
      RunTraining({.name = absl::StrCat(optimizer, "_", name),
                   .num_aggregators = 2,
                   .worker_flags = {absl::StrCat("--optimizer=", optimizer), "--rounds=30",
                                    "--warmup_rounds=10"},
                   .aggregator_flags = {absl::StrCat("--backend=", backend)}});
  EXPECT_THAT(reports, IsOk());
  return reports.ok() ? *reports : std::vector<TrainingReport>();
}

class BackendsEndToEndTest : public testing::TestWithParam<std::string> {
 protected:
  void ExpectTheParametersOfScalar(const std::string& backend) {
    const std::vector<TrainingReport> reference =
        Reports(absl::StrCat("scalar_for_", backend), GetParam(), "scalar");
    ASSERT_THAT(reference, SizeIs(4));
    EXPECT_THAT(Reports(backend, GetParam(), backend),
                AllOf(SizeIs(4), Each(Field(&TrainingReport::parameters_digest,
                                            reference[0].parameters_digest))));
  }
};

INSTANTIATE_TEST_SUITE_P(EveryMethod, BackendsEndToEndTest,
                         testing::Values("dense_adam", "onebit_adam", "onebit_lamb", "zeroone_adam",
                                         "birder", "cd_adam", "sketched_amsgrad", "topk_sgd"),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           return parameter.param;
                         });

TEST_P(BackendsEndToEndTest, SimdAggregatorsGiveTheParametersOfScalarOnes) {
  ExpectTheParametersOfScalar("simd");
}

TEST_P(BackendsEndToEndTest, CudaAggregatorsGiveTheParametersOfScalarOnes) {
  const absl::StatusOr<const Backend*> cuda = FindBackend("cuda");
  if (!cuda.ok()) GTEST_SKIP() << cuda.status();
  ExpectTheParametersOfScalar("cuda");
}

}  // namespace
}  // namespace tally
