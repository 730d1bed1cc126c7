#include "examples/training_report.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

TrainingReport Example() {
  return {.optimizer = "onebit_adam",
          .variant = "batch=12",
          .worker = "w-\"2\"\n",
          .rank = 2,
          .workers = 4,
          .aggregators = 3,
          .rounds = 10,
          .parameters = 1000,
          .training_loss = {{1, 4.25}, {2, 4.125}},
          .validation_loss = {{0, 4.5}, {10, 2.1234567}},
          .bytes_up = 12'345'678'901,
          .bytes_down = 34'567,
          .other_bytes_down = 321,
          .compressed_rounds = 8,
          .compressed_bytes_up = 1100,
          .compressed_bytes_down = 1200,
          .missed_contributions = 1,
          .joined_after = 5,
          .handed_over_norm = 2.5,
          .discarded_norm = 0.25,
          .longest_round_seconds = 0.125,
          .measured_rounds = 7,
          .mean_cosine = 0.8125,
          .mean_relative_error = 0.5625,
          .seconds = 2.5,
          .parameters_digest = 0x0123456789abcdef};
}

TEST(TrainingReportTest, BitsAreThoseOfTheCompressedPhase) {
  EXPECT_DOUBLE_EQ(BitsPerParameterUp(Example()), 1.1);
  EXPECT_DOUBLE_EQ(BitsPerParameterDown(Example()), 1.2);
  TrainingReport report = Example();
  report.compressed_rounds = 0;
  EXPECT_EQ(BitsPerParameterUp(report), 0);
}

TEST(TrainingReportTest, SpeedIsRoundsByTime) {
  EXPECT_DOUBLE_EQ(RoundsPerSecond(Example()), 2);
  TrainingReport report = Example();
  report.seconds = 0;
  EXPECT_EQ(RoundsPerSecond(report), 0);
}

TEST(TrainingReportTest, ReadsBackWhatItWrote) {
  const TrainingReport written = Example();
  const absl::StatusOr<TrainingReport> read = ParseReport(FormatReport(written));
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->optimizer, written.optimizer);
  EXPECT_EQ(read->variant, written.variant);
  EXPECT_EQ(read->worker, written.worker);
  EXPECT_EQ(read->rank, written.rank);
  EXPECT_EQ(read->workers, written.workers);
  EXPECT_EQ(read->aggregators, written.aggregators);
  EXPECT_EQ(read->rounds, written.rounds);
  EXPECT_EQ(read->parameters, written.parameters);
  EXPECT_EQ(read->training_loss, written.training_loss);
  EXPECT_EQ(read->validation_loss, written.validation_loss);
  EXPECT_EQ(read->bytes_up, written.bytes_up);
  EXPECT_EQ(read->bytes_down, written.bytes_down);
  EXPECT_EQ(read->other_bytes_down, written.other_bytes_down);
  EXPECT_EQ(read->compressed_rounds, written.compressed_rounds);
  EXPECT_EQ(read->compressed_bytes_up, written.compressed_bytes_up);
  EXPECT_EQ(read->compressed_bytes_down, written.compressed_bytes_down);
  EXPECT_EQ(read->missed_contributions, written.missed_contributions);
  EXPECT_EQ(read->handed_over_norm, written.handed_over_norm);
  EXPECT_EQ(read->discarded_norm, written.discarded_norm);
  EXPECT_EQ(read->joined_after, written.joined_after);
  EXPECT_EQ(read->longest_round_seconds, written.longest_round_seconds);
  EXPECT_EQ(read->measured_rounds, written.measured_rounds);
  EXPECT_EQ(read->mean_cosine, written.mean_cosine);
  EXPECT_EQ(read->mean_relative_error, written.mean_relative_error);
  EXPECT_EQ(read->seconds, written.seconds);
  EXPECT_EQ(read->parameters_digest, written.parameters_digest);
}

TEST(TrainingReportTest, StatesTheFiguresThatPeopleLookFor) {
  const std::string json = FormatReport(Example());
  for (const absl::string_view line :
       {"\"initial_validation_loss\": 4.5", "\"final_validation_loss\": 2.1234567",
        "\"bits_per_parameter_up\": 1.1", "\"rounds_per_second\": 2",
        "\"parameters_digest\": \"0123456789abcdef\""}) {
    EXPECT_THAT(json, HasSubstr(std::string(line)));
  }
}

TEST(TrainingReportTest, WorkersThatDoNotValidateHaveNoValidationLoss) {
  TrainingReport report = Example();
  report.validation_loss.clear();
  const std::string json = FormatReport(report);
  EXPECT_THAT(json, testing::Not(HasSubstr("final_validation_loss")));
  EXPECT_THAT(ParseReport(json), IsOk());
}

TEST(TrainingReportTest, RefusesDamageByKey) {
  const struct {
    const char* from;
    const char* to;
    const char* message;
  } cases[] = {
      {"\"rank\": 2", "\"rank\": -2", "`rank`"},
      {"\"rounds\": 10", "\"rounds\": 1.5", "`rounds`"},
      {"\"rounds\": 10", "\"rounds\": 1e30", "`rounds`"},
      {"\"workers\": 4", "\"workerz\": 4", "`workers`"},
      {"\"seconds\": 2.5", "\"seconds\": \"long\"", "`seconds`"},
      {"\"mean_cosine\": 0.8125", "\"mean_cosine\": null", "`mean_cosine`"},
      {"\"onebit_adam\"", "7", "`optimizer`"},
      {"0123456789abcdef", "0123456789abcdeg", "`parameters_digest`"},
      {"0123456789abcdef", "0x23456789abcde", "`parameters_digest`"},
      {"[[1, 4.25]", "[[1]", "`training_loss`"},
      {"[[0, 4.5]", "[3", "`validation_loss`"},
      {"{\n", "", "JSON"},
  };
  for (const auto& row : cases) {
    SCOPED_TRACE(row.to);
    const std::string json = absl::StrReplaceAll(FormatReport(Example()), {{row.from, row.to}});
    EXPECT_THAT(ParseReport(json),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.message)));
  }
}

TEST(JsonStringTest, EscapesWhatJsonDoesNotAllow) {
  EXPECT_EQ(JsonString("a\"b\\c\n\x01 \xc3\xa9"), "\"a\\\"b\\\\c\\u000a\\u0001 \xc3\xa9\"");
}

TEST(WriteTextFileTest, NamesThePathThatCannotBeWritten) {
  EXPECT_THAT(WriteTextFile("/proc/none/file", "text"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/proc/none/file")));
}

TEST(ReplaceTextFileTest, LeavesTheNewTextAndNothingElse) {
  const char* directory = std::getenv("TEST_TMPDIR");
  const std::string path =
      (directory != nullptr ? std::string(directory) : testing::TempDir()) + "/replaced.txt";
  ASSERT_THAT(ReplaceTextFile(path, "a long first text"), IsOk());
  ASSERT_THAT(ReplaceTextFile(path, "second"), IsOk());
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(text, "second");
  EXPECT_FALSE(std::ifstream(path + ".tmp").is_open());
}

TEST(ReplaceTextFileTest, NamesThePathThatCannotBeReplaced) {
  EXPECT_THAT(ReplaceTextFile("/proc/none/file", "text"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/proc/none/file")));
}

}  // namespace
}  // namespace tally
