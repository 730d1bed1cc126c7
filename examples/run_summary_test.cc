#include "examples/run_summary.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

TrainingReport ReportOf(uint64_t rank) {
  TrainingReport report;
  report.optimizer = "onebit_adam";
  report.worker = "w-" + std::to_string(rank);
  report.rank = rank;
  report.workers = 2;
  report.aggregators = 3;
  report.rounds = 4;
  report.parameters = 100;
  report.training_loss = {{1, 4.0 + 2.0 * static_cast<double>(rank)}, {2, 3}, {3, 2}, {4, 2}};
  if (rank == 0) report.validation_loss = {{0, 5}, {4, 2.5}};
  report.bytes_up = 4000 + 800 * rank;
  report.bytes_down = 8000;
  report.other_bytes_down = 100;
  report.compressed_rounds = 2;
  report.compressed_bytes_up = 25;
  report.compressed_bytes_down = 50;
  report.measured_rounds = 1 + rank;
  report.mean_cosine = 0.5 + 0.3 * static_cast<double>(rank);
  report.mean_relative_error = 0.75;
  report.seconds = 2.0 + static_cast<double>(rank);
  report.parameters_digest = 0xabc;
  return report;
}

RunSummary RunWithLoss(const std::string& optimizer, double loss) {
  RunSummary run;
  run.optimizer = optimizer;
  run.final_validation_loss = loss;
  return run;
}

TEST(SummarizeRunTest, BringsTheWorkersTogether) {
  const std::vector<TrainingReport> reports = {ReportOf(1), ReportOf(0)};
  const absl::StatusOr<RunSummary> run = SummarizeRun(reports);
  ASSERT_THAT(run, IsOk());
  EXPECT_EQ(run->optimizer, "onebit_adam");
  EXPECT_EQ(run->workers, 2u);
  EXPECT_EQ(run->aggregators, 3u);
  EXPECT_EQ(run->rounds, 4u);
  EXPECT_EQ(run->parameters, 100u);
  EXPECT_EQ(run->initial_validation_loss, 5);
  EXPECT_EQ(run->final_validation_loss, 2.5);
  EXPECT_EQ(run->bytes_up_per_round, 1100);
  EXPECT_EQ(run->bytes_down_per_round, 2000);
  EXPECT_EQ(run->bits_per_parameter_up, 1);
  EXPECT_EQ(run->bits_per_parameter_down, 2);
  EXPECT_EQ(run->snapshot_bits_per_parameter, 2);  // 800 bits in 4 rounds of 100 parameters
  EXPECT_EQ(run->rounds_per_second, 2);
  EXPECT_EQ(run->measured_rounds, 3u);
  EXPECT_DOUBLE_EQ(run->mean_cosine, 0.7);  // (0.5 + 2 * 0.8) / 3
  EXPECT_DOUBLE_EQ(run->mean_relative_error, 0.75);
  EXPECT_EQ(run->parameters_digest, 0xabcu);
  EXPECT_EQ(run->training_loss.front(), (LossPoint{1, 5}));
}

TEST(SummarizeRunTest, RefusesDifferentParametersWithBothDigests) {
  std::vector<TrainingReport> reports = {ReportOf(0), ReportOf(1)};
  reports[1].parameters_digest = 0xdef;
  EXPECT_THAT(SummarizeRun(reports), StatusIs(absl::StatusCode::kFailedPrecondition,
                                              AllOf(HasSubstr("w-0 0000000000000abc"),
                                                    HasSubstr("w-1 0000000000000def"))));
}

TEST(SummarizeRunTest, RefusesReportsThatAreNotOfOneRun) {
  const struct {
    const char* message;
    void (*spoil)(std::vector<TrainingReport>&);
  } cases[] = {
      {"must have reports", [](auto& reports) { reports.clear(); }},
      {"has 1 reports", [](auto& reports) { reports.pop_back(); }},
      {"`rank` = 0", [](auto& reports) { reports[1].rank = 0; }},
      {"`rank` = 2", [](auto& reports) { reports[1].rank = 2; }},
      {"same run", [](auto& reports) { reports[1].optimizer = "dense_adam"; }},
      {"same run", [](auto& reports) { reports[1].variant = "batch=12"; }},
      {"same run", [](auto& reports) { reports[1].workers = 3; }},
      {"same run", [](auto& reports) { reports[1].aggregators = 1; }},
      {"same run", [](auto& reports) { reports[1].rounds = 5; }},
      {"same run", [](auto& reports) { reports[1].parameters = 5; }},
      {"same run", [](auto& reports) { reports[1].training_loss.pop_back(); }},
      {"`validation_loss` of `w-0`", [](auto& reports) { reports[0].validation_loss.clear(); }},
  };
  for (const auto& row : cases) {
    SCOPED_TRACE(row.message);
    std::vector<TrainingReport> reports = {ReportOf(0), ReportOf(1)};
    row.spoil(reports);
    EXPECT_THAT(SummarizeRun(reports),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.message)));
  }
}

TEST(CompareLossesTest, JudgesEachAgainstItsOwnTwin) {
  const RunSummary dense = RunWithLoss("dense_adam", 2.0);
  // What no preset judges is shown, not refused.
  EXPECT_THAT(CompareLosses({dense, RunWithLoss("birder", 9)}), IsOk());
  EXPECT_THAT(CompareLosses({RunWithLoss("dense_amsgrad", 1), RunWithLoss("onebit_adam", 9)}),
              IsOk());
}

TEST(CompareLossesTest, AllowsWhatThePresetAllows) {
  const RunSummary dense = RunWithLoss("dense_adam", 2.0);
  EXPECT_THAT(CompareLosses({dense, RunWithLoss("onebit_adam", 2.05)}), IsOk());
  EXPECT_THAT(CompareLosses({RunWithLoss("onebit_adam", 2.11), dense}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("onebit_adam, 2.1100"), HasSubstr("5.5 %"))));
  EXPECT_THAT(CompareLosses({RunWithLoss("onebit_adam", 9)}), IsOk());
}

TEST(CompareLossesTest, JudgesAgainstTheBestTwinAndNoVariants) {
  RunSummary better = RunWithLoss("dense_adam", 1.0);
  better.variant = "batch=12";
  const RunSummary dense = RunWithLoss("dense_adam", 2.0);
  RunSummary compressed = RunWithLoss("onebit_adam", 2.0);
  EXPECT_THAT(CompareLosses({dense, better, compressed}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("dense_adam:batch=12")));
  compressed.variant = "warmup_rounds=1";
  EXPECT_THAT(CompareLosses({dense, better, compressed}), IsOk());
}

TEST(FormatSummaryTest, HasExactlyTheKeysOfTheContract) {
  const std::vector<TrainingReport> reports = {ReportOf(0), ReportOf(1)};
  google::protobuf::Struct summary;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(
                  FormatSummary({*SummarizeRun(reports), *SummarizeRun(reports)}), &summary)
                  .ok());
  ASSERT_EQ(summary.fields().at("runs").list_value().values_size(), 2);
  std::vector<std::string> keys;
  for (const auto& [key, value] :
       summary.fields().at("runs").list_value().values(0).struct_value().fields()) {
    keys.push_back(key);
  }
  EXPECT_THAT(keys, UnorderedElementsAre(
                        "optimizer", "variant", "workers", "aggregators", "rounds", "parameters",
                        "initial_validation_loss", "final_validation_loss", "bytes_up_per_round",
                        "bytes_down_per_round", "bits_per_parameter_up", "bits_per_parameter_down",
                        "snapshot_bits_per_parameter", "rounds_per_second", "measured_rounds",
                        "mean_cosine", "mean_relative_error", "parameters_digest"));
}

TEST(FormatTableTest, ShowsEveryRunAndTheReduction) {
  const std::vector<TrainingReport> reports = {ReportOf(0), ReportOf(1)};
  const RunSummary run = *SummarizeRun(reports);
  // 64 bits against 1 + 2.
  EXPECT_THAT(FormatTable({run, RunWithLoss("dense_adam", 2.0)}),
              AllOf(HasSubstr("\nonebit_adam           2.5000    +25.0 %      1.000      2.000"),
                    HasSubstr("\ndense_adam            2.0000          -"), HasSubstr("21.3 x"),
                    HasSubstr("onebit_adam       0000000000000abc")));
}

TEST(FormatTableTest, TellsVariantsApart) {
  RunSummary run = RunWithLoss("onebit_adam", 2.0);
  run.variant = "learning_rate=1e-3";
  EXPECT_THAT(FormatTable({run, RunWithLoss("dense_adam", 2.0)}),
              AllOf(HasSubstr("\nonebit_adam:learning_rate=1e-3     2.0000"),
                    HasSubstr("\ndense_adam                         2.0000")));
}

TEST(FormatTableTest, ShowsWhatCompressionDidToTheRounds) {
  const std::vector<TrainingReport> reports = {ReportOf(0), ReportOf(1)};
  EXPECT_THAT(FormatTable({*SummarizeRun(reports), RunWithLoss("dense_adam", 2.0)}),
              HasSubstr("means over the compressed rounds:\n"
                        "onebit_adam       cosine 0.70, relative error 0.75\n\n"));
  EXPECT_THAT(FormatTable({RunWithLoss("dense_adam", 2.0)}), testing::Not(HasSubstr("cosine")));
}

TEST(FormatCurvesTest, OneBlockPerCurve) {
  const std::vector<TrainingReport> reports = {ReportOf(0), ReportOf(1)};
  EXPECT_EQ(FormatCurves({*SummarizeRun(reports)}),
            "\"onebit_adam, training\"\n1 5\n2 3\n3 2\n4 2\n\n\n"
            "\"onebit_adam, validation\"\n0 5\n4 2.5\n\n\n");
}

TEST(FormatCurvesTest, AveragesLongCurvesOverTwentieths) {
  RunSummary run = RunWithLoss("dense_adam", 1);
  for (uint64_t round = 1; round <= 40; ++round) {
    run.training_loss.push_back({round, static_cast<double>(round)});
  }
  EXPECT_THAT(FormatCurves({run}), testing::StartsWith("\"dense_adam, training\"\n2 1.5\n4 3.5\n"));
}

}  // namespace
}  // namespace tally
