#include "base/logging.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/thread_pool.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

// Returns the lines that `log` writes to stderr.
template <typename Function>
std::vector<std::string> LinesOf(Function log) {
  testing::internal::CaptureStderr();
  log();
  return absl::StrSplit(testing::internal::GetCapturedStderr(), '\n', absl::SkipEmpty());
}

std::vector<std::string> LinesOfEveryLevel() {
  return LinesOf([] {
    LogDebug("d");
    LogInfo("i");
    LogWarning("w");
    LogError("e");
  });
}

class LoggingTest : public testing::Test {
 protected:
  ~LoggingTest() override { InitLogging("info").IgnoreError(); }
};

TEST_F(LoggingTest, ShowsInfoAndAboveByDefault) {
  EXPECT_THAT(LinesOfEveryLevel(),
              ElementsAre(HasSubstr("info"), HasSubstr("warning"), HasSubstr("error")));
}

TEST_F(LoggingTest, LinesCarryTimeWithMillisecondsLevelAndThread) {
  const std::vector<std::string> lines = LinesOf([] { LogInfo("round 7 closed"); });
  EXPECT_THAT(lines,
              ElementsAre(MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
                                       "\\.[0-9]{3}[+-][0-9]{2}:[0-9]{2} info \\[[0-9]+\\] "
                                       "round 7 closed")));
}

TEST_F(LoggingTest, ShowsFromTheGivenLevelOn) {
  const struct {
    absl::string_view level;
    size_t num_lines;
  } kCases[] = {{"debug", 4}, {"info", 3}, {"warning", 2}, {"error", 1}, {"off", 0}};
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.level);
    ASSERT_THAT(InitLogging(test_case.level), IsOk());
    EXPECT_THAT(LinesOfEveryLevel(), SizeIs(test_case.num_lines));
  }
}

TEST_F(LoggingTest, RefusesUnknownLevelsAndKeepsTheOldOne) {
  ASSERT_THAT(InitLogging("error"), IsOk());
  for (absl::string_view level : {"", "verbose", "INFO", "info "}) {
    SCOPED_TRACE(level);
    EXPECT_THAT(InitLogging(level),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat("`", level, "`, must be debug, info, warning"))));
  }
  EXPECT_THAT(LinesOfEveryLevel(), SizeIs(1));
}

TEST_F(LoggingTest, WritesBracesAndPercentSignsAsTheyAre) {
  EXPECT_THAT(LinesOf([] { LogInfo("{} {0} %s %v"); }), ElementsAre(HasSubstr("{} {0} %s %v")));
}

TEST_F(LoggingTest, WritesNothingToStdout) {
  testing::internal::CaptureStdout();
  LinesOfEveryLevel();
  EXPECT_THAT(testing::internal::GetCapturedStdout(), IsEmpty());
}

TEST_F(LoggingTest, DoesNotMixLinesOfThreads) {
  const std::string message(200, 'x');
  const std::vector<std::string> lines = LinesOf([&message] {
    ThreadPool pool(8);
    for (int i = 0; i < 1'000; ++i) pool.Schedule([&message] { LogInfo(message); });
  });
  EXPECT_THAT(lines, SizeIs(1'000));
  EXPECT_THAT(lines, testing::Each(MatchesRegex("[^x]* info \\[[0-9]+\\] x{200}")));
}

}  // namespace
}  // namespace tally
