#include "tests/end_to_end/child_process.h"

#include <signal.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Generous: it only bounds a test that hangs.
constexpr absl::Duration kTimeout = absl::Seconds(60);

std::string Path(absl::string_view ending) {
  return testing::TempDir() + testing::UnitTest::GetInstance()->current_test_info()->name() +
         std::string(ending);
}

std::unique_ptr<ChildProcess> StartShell(const std::string& script) {
  std::remove(Path(".log").c_str());
  absl::StatusOr<std::unique_ptr<ChildProcess>> child =
      ChildProcess::Start("/bin/sh", {"-c", script}, Path(".log"));
  EXPECT_THAT(child, IsOk());
  return *std::move(child);
}

TEST(ChildProcessTest, KeepsWhatTheProgramWrites) {
  const std::unique_ptr<ChildProcess> child = StartShell("echo out; echo errors >&2");
  EXPECT_THAT(child->Wait(kTimeout), IsOk());
  EXPECT_EQ(child->Log(), "out\nerrors\n");
}

TEST(ChildProcessTest, ReportsExitStatusAndLog) {
  const std::unique_ptr<ChildProcess> child = StartShell("echo because; exit 3");
  EXPECT_THAT(child->Wait(kTimeout),
              StatusIs(absl::StatusCode::kAborted,
                       AllOf(HasSubstr("exited with status 3"), HasSubstr("because"))));
  EXPECT_THAT(child->Wait(kTimeout), StatusIs(absl::StatusCode::kAborted)) << "asked again";
}

TEST(ChildProcessTest, ReportsTheSignalThatEndedIt) {
  const std::unique_ptr<ChildProcess> child = StartShell("sleep 1000");
  EXPECT_THAT(child->Wait(absl::ZeroDuration()), StatusIs(absl::StatusCode::kDeadlineExceeded));
  child->Signal(SIGTERM);
  EXPECT_THAT(child->Wait(kTimeout), StatusIs(absl::StatusCode::kAborted, HasSubstr("signal 15")));
}

TEST(ChildProcessTest, KillsWhatIsStillRunning) {
  std::unique_ptr<ChildProcess> child = StartShell("sleep 1000");
  const pid_t pid = child->pid();
  child.reset();
  EXPECT_NE(kill(pid, 0), 0);
}

TEST(ChildProcessTest, NamesAProgramThatIsNotThere) {
  EXPECT_THAT(ChildProcess::Start("/no/such/program", {}, Path(".log")),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/no/such/program")));
}

TEST(WaitForFileTest, ReturnsTheContents) {
  std::remove(Path(".port").c_str());
  const std::unique_ptr<ChildProcess> child = StartShell(
      "echo 1234 > '" + Path(".new") + "'; mv '" + Path(".new") + "' '" + Path(".port") + "'");
  EXPECT_THAT(WaitForFile(Path(".port"), *child, kTimeout), IsOkAndHolds("1234\n"));
}

TEST(WaitForFileTest, GivesUpWhenTheProcessEnds) {
  const std::unique_ptr<ChildProcess> failing = StartShell("exit 1");
  EXPECT_THAT(WaitForFile(Path(".port"), *failing, kTimeout),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("exited with status 1")));
  const std::unique_ptr<ChildProcess> forgetful = StartShell("exit 0");
  EXPECT_THAT(WaitForFile(Path(".port"), *forgetful, kTimeout),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("without writing")));
}

TEST(WaitForFileTest, GivesUpAtTheDeadline) {
  const std::unique_ptr<ChildProcess> child = StartShell("sleep 1000");
  EXPECT_THAT(WaitForFile(Path(".port"), *child, absl::Milliseconds(20)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr(Path(".port"))));
}

}  // namespace
}  // namespace tally
