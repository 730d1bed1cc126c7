#include "tests/end_to_end/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

extern char** environ;

namespace tally {
namespace {

// The operating system offers no wait with a deadline, so ends and files are looked for this often.
constexpr absl::Duration kPollInterval = absl::Milliseconds(10);
constexpr size_t kQuotedLogBytes = 2000;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    const std::string& program, const std::vector<std::string>& arguments, const std::string& log) {
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return absl::UnavailableError(
        absl::StrCat("program ", program, " with log ", log, ": ", std::strerror(error)));
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, program, log));
}

ChildProcess::ChildProcess(pid_t pid, std::string program, std::string log)
    : pid_(pid), program_(std::move(program)), log_(std::move(log)) {}

ChildProcess::~ChildProcess() {
  if (has_ended_) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

absl::Status ChildProcess::Wait(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!has_ended_) {
    int wait_status = 0;
    if (waitpid(pid_, &wait_status, WNOHANG) == pid_) {
      has_ended_ = true;
      end_ = Ended(wait_status);
    } else if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat(program_, " is still running after ",
                                                      absl::FormatDuration(timeout), "; its log:\n",
                                                      Log()));
    } else {
      absl::SleepFor(kPollInterval);
    }
  }
  return end_;
}

absl::Status ChildProcess::Ended(int wait_status) const {
  if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) return absl::OkStatus();
  const std::string how = WIFEXITED(wait_status)
                              ? absl::StrCat("exited with status ", WEXITSTATUS(wait_status))
                              : absl::StrCat("was ended by signal ", WTERMSIG(wait_status));
  const std::string log = Log();
  const size_t skipped = log.size() > kQuotedLogBytes ? log.size() - kQuotedLogBytes : 0;
  return absl::AbortedError(
      absl::StrCat(program_, " ", how, "; the end of its log:\n", log.substr(skipped)));
}

void ChildProcess::Signal(int signal) const {
  if (!has_ended_) kill(pid_, signal);
}

std::string ChildProcess::Log() const { return ReadAll(log_); }

absl::StatusOr<std::string> WaitForFile(const std::string& path, ChildProcess& writer,
                                        absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!std::filesystem::exists(path)) {
    const absl::Status end = writer.Wait(absl::ZeroDuration());
    if (end.ok()) {
      return absl::AbortedError(absl::StrCat("the process ended without writing ", path));
    }
    if (!absl::IsDeadlineExceeded(end)) return end;
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("no file ", path, " after ", absl::FormatDuration(timeout)));
    }
    absl::SleepFor(kPollInterval);
  }
  return ReadAll(path);
}

}  // namespace tally
