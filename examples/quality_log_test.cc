#include "examples/quality_log.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

RoundQuality QualityOf(uint64_t step, double cosine, double relative_error) {
  return {.step = step, .num_elements = 8, .cosine = cosine, .relative_error = relative_error};
}

std::string TestFile(const std::string& name) {
  const char* directory = std::getenv("TEST_TMPDIR");
  return (directory != nullptr ? std::string(directory) : testing::TempDir()) + "/" + name;
}

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(QualityLogTest, KeepsTheLastRoundAndTheMeans) {
  QualityLog log({});
  EXPECT_EQ(log.mean_cosine(), 0.0);
  EXPECT_THAT(log.Take(1, absl::nullopt), IsOk());
  EXPECT_FALSE(log.last().has_value());
  EXPECT_THAT(log.Take(2, QualityOf(2, 0.5, 0.25)), IsOk());
  EXPECT_THAT(log.Take(3, QualityOf(3, 1.0, 0.75)), IsOk());
  EXPECT_THAT(log.Take(4, absl::nullopt), IsOk());
  ASSERT_TRUE(log.last().has_value());
  EXPECT_EQ(log.last()->step, 3u);
  EXPECT_EQ(log.num_rounds(), 2u);
  EXPECT_EQ(log.mean_cosine(), 0.75);
  EXPECT_EQ(log.mean_relative_error(), 0.5);
}

TEST(QualityLogTest, LeavesWhatIsNotFiniteOutOfTheMeans) {
  QualityLog log({});
  EXPECT_THAT(log.Take(1, QualityOf(1, 0.5, 0.25)), IsOk());
  EXPECT_THAT(log.Take(2, QualityOf(2, 0.0, std::numeric_limits<double>::infinity())), IsOk());
  EXPECT_EQ(log.num_rounds(), 1u);
  EXPECT_EQ(log.mean_relative_error(), 0.25);
  EXPECT_EQ(log.last()->step, 2u);
}

TEST(QualityLogTest, WritesMetricsEveryNthRoundAndAtTheEnd) {
  const std::string path = TestFile("quality.prom");
  QualityLog log({.labels = {"j", "w-0", "sign_sgd"}, .metrics_file = path, .metrics_every = 2});
  EXPECT_THAT(log.Take(1, QualityOf(1, 0.5, 0.25)), IsOk());
  EXPECT_THAT(Contents(path), IsEmpty());
  EXPECT_THAT(log.Take(2, QualityOf(2, 0.5, 0.25)), IsOk());
  EXPECT_THAT(Contents(path),
              HasSubstr("\ntally_round_step{job=\"j\",worker=\"w-0\",method=\"sign_sgd\"} 2\n"));
  EXPECT_THAT(log.Take(3, QualityOf(3, 0.5, 0.25)), IsOk());
  EXPECT_THAT(Contents(path), HasSubstr("} 2\n"));
  EXPECT_THAT(log.Finish(), IsOk());
  EXPECT_THAT(Contents(path), HasSubstr("method=\"sign_sgd\"} 3\n"));
}

TEST(QualityLogTest, WritesNoFileWhileThereIsNothingToSay) {
  const std::string path = TestFile("nothing.prom");
  QualityLog log({.metrics_file = path, .metrics_every = 1});
  EXPECT_THAT(log.Take(1, absl::nullopt), IsOk());
  EXPECT_THAT(log.Finish(), IsOk());
  EXPECT_FALSE(std::ifstream(path).is_open());
}

TEST(QualityLogTest, NamesTheFileThatCannotBeWritten) {
  QualityLog log({.metrics_file = "/proc/none/quality.prom", .metrics_every = 1});
  EXPECT_THAT(log.Take(1, QualityOf(1, 0.5, 0.25)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/proc/none/quality.prom")));
}

}  // namespace
}  // namespace tally
