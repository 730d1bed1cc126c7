// A program that a test runs.
#ifndef TALLY_TESTS_END_TO_END_CHILD_PROCESS_H_
#define TALLY_TESTS_END_TO_END_CHILD_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace tally {

// A process of its own, whose output goes to a file. Killed by its id, and nothing else is, when
// the object goes away before it has ended. Not thread-safe.
class ChildProcess {
 public:
  // Starts `program` with `arguments` (without the program's name) in this process's environment;
  // its output and errors are appended to the file `log`. Returns UNAVAILABLE if the log cannot be
  // written or the program cannot be run.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(
      const std::string& program, const std::vector<std::string>& arguments,
      const std::string& log);

  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }

  // Waits for its end. Returns OK if it exits with status 0; ABORTED, with status or signal and the
  // end of its log, if it ends in any other way; DEADLINE_EXCEEDED if it is still running after
  // `timeout`.
  absl::Status Wait(absl::Duration timeout);

  // Sends a signal, unless it has ended.
  void Signal(int signal) const;

  // Everything that it has written so far.
  std::string Log() const;

 private:
  ChildProcess(pid_t pid, std::string program, std::string log);

  // Describes how it ended, from what waitpid said.
  absl::Status Ended(int wait_status) const;

  const pid_t pid_;
  const std::string program_;
  const std::string log_;
  bool has_ended_ = false;
  absl::Status end_;
};

// Waits until the file `path`, which `writer` puts in place as a whole, exists, and returns its
// contents. Returns the process's end if that comes first, DEADLINE_EXCEEDED after `timeout`.
absl::StatusOr<std::string> WaitForFile(const std::string& path, ChildProcess& writer,
                                        absl::Duration timeout);

}  // namespace tally

#endif  // TALLY_TESTS_END_TO_END_CHILD_PROCESS_H_
