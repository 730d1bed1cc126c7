// Real aggregators and real trainers, each a process, over loopback.
#include <cstdint>
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
using ::testing::Ge;
using ::testing::Le;
using ::testing::ResultOf;
using ::testing::SizeIs;

constexpr uint64_t kRounds = 40;
constexpr uint64_t kWarmupRounds = 10;

struct Conditions {
  std::string optimizer;
  int num_aggregators = 1;
  int arrival_jitter_ms = 0;
};

// The workers' reports of one run; empty, with a failure, if it went wrong.
std::vector<TrainingReport> Reports(const Conditions& conditions) {
  const absl::StatusOr<std::vector<TrainingReport>> reports = RunTraining(
      {.name = absl::StrCat(conditions.optimizer, "_", conditions.num_aggregators, "_",
                            conditions.arrival_jitter_ms),
       .num_aggregators = conditions.num_aggregators,
       .worker_flags = {absl::StrCat("--optimizer=", conditions.optimizer),
                        absl::StrCat("--rounds=", kRounds),
                        absl::StrCat("--warmup_rounds=", kWarmupRounds),
                        absl::StrCat("--arrival_jitter_ms=", conditions.arrival_jitter_ms)}});
  EXPECT_THAT(reports, IsOk());
  return reports.ok() ? *reports : std::vector<TrainingReport>();
}

class EndToEndTest : public testing::TestWithParam<std::string> {};

TEST_P(EndToEndTest, ParametersDependOnNothingButTheInputs) {
  const std::vector<TrainingReport> reference = Reports({.optimizer = GetParam()});
  ASSERT_THAT(reference, SizeIs(4));
  const uint64_t digest = reference[0].parameters_digest;
  const auto all_equal = Each(Field(&TrainingReport::parameters_digest, digest));
  EXPECT_THAT(reference, all_equal) << "workers differ";
  EXPECT_THAT(Reports({.optimizer = GetParam(), .num_aggregators = 2}), AllOf(SizeIs(4), all_equal))
      << "two aggregators";
  EXPECT_THAT(Reports({.optimizer = GetParam(), .num_aggregators = 3, .arrival_jitter_ms = 5}),
              AllOf(SizeIs(4), all_equal))
      << "three aggregators, shuffled arrival";
}

INSTANTIATE_TEST_SUITE_P(EveryMethod, EndToEndTest,
                         testing::Values("dense_adam", "onebit_adam", "onebit_lamb", "zeroone_adam",
                                         "birder", "cd_adam", "sketched_amsgrad", "sketched_sgd",
                                         "sign_sgd", "topk_sgd"),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           return parameter.param;
                         });

TEST(DenseAdamEndToEndTest, LearnsAndSendsEveryParameterAsAFloat) {
  const std::vector<TrainingReport> reports =
      Reports({.optimizer = "dense_adam", .num_aggregators = 2, .arrival_jitter_ms = 1});
  ASSERT_THAT(reports, SizeIs(4));
  EXPECT_LT(reports[0].validation_loss.back().loss, 0.8 * reports[0].validation_loss.front().loss);
  EXPECT_THAT(reports, Each(Field(&TrainingReport::compressed_rounds, kRounds)));
  // 32 bits, and at most a tenth more for the headers of chunks as small as these.
  EXPECT_THAT(reports, Each(ResultOf(BitsPerParameterUp, AllOf(Ge(32), Le(35)))));
  EXPECT_THAT(reports, Each(ResultOf(BitsPerParameterDown, AllOf(Ge(32), Le(35)))));
  EXPECT_THAT(reports, Each(Field(&TrainingReport::missed_contributions, 0u)));
}

TEST(OneBitAdamEndToEndTest, LearnsAndSendsAboutOneBitPerParameter) {
  const std::vector<TrainingReport> reports =
      Reports({.optimizer = "onebit_adam", .num_aggregators = 2, .arrival_jitter_ms = 1});
  ASSERT_THAT(reports, SizeIs(4));
  EXPECT_LT(reports[0].validation_loss.back().loss, 0.8 * reports[0].validation_loss.front().loss);
  EXPECT_THAT(reports, Each(Field(&TrainingReport::compressed_rounds, kRounds - kWarmupRounds)));
  // A bit each; the biases, 0.8 % of all, as floats, which is a quarter of a bit; and the headers
  // and scales of chunks of 4,096 elements: at most 200 bytes each, 0.4 bits.
  EXPECT_THAT(reports, Each(ResultOf(BitsPerParameterUp, AllOf(Ge(1.2), Le(1.7)))));
  EXPECT_THAT(reports, Each(ResultOf(BitsPerParameterDown, AllOf(Ge(1.2), Le(1.7)))));
  EXPECT_THAT(reports, Each(Field(&TrainingReport::missed_contributions, 0u)));
}

}  // namespace
}  // namespace tally
