#include "tests/end_to_end/training_run.h"

#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "tests/end_to_end/child_process.h"

namespace tally {
namespace {

namespace fs = std::filesystem;

// An environment variable that Bazel sets for tests.
absl::StatusOr<std::string> TestVariable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("`", name, "` must be set, as Bazel does"));
  }
  return std::string(value);
}

absl::StatusOr<std::string> ProgramPath(const std::string& path) {
  TALLY_ASSIGN_OR_RETURN(const std::string runfiles, TestVariable("TEST_SRCDIR"));
  TALLY_ASSIGN_OR_RETURN(const std::string workspace, TestVariable("TEST_WORKSPACE"));
  return absl::StrCat(runfiles, "/", workspace, "/", path);
}

// A text with something to learn, the same on every machine: numbers counted out in words.
void WriteText(const std::string& path) {
  constexpr const char* kDigits[] = {"zero", "one", "two",   "three", "four",
                                     "five", "six", "seven", "eight", "nine"};
  std::ofstream file(path);
  for (int number = 0; number < 2000; ++number) {
    file << number << " is said";
    for (const char digit : absl::StrCat(number)) file << " " << kDigits[digit - '0'];
    file << (number % 10 == 9 ? ".\n" : ", and ");
  }
}

// What one run has on disk and in the process table.
class Run {
 public:
  Run(const TrainingRunOptions& options, std::string directory)
      : options_(options), directory_(std::move(directory)) {}

  absl::StatusOr<std::vector<TrainingReport>> Execute() {
    fs::create_directories(directory_);
    WriteText(PathOf("text"));
    TALLY_RETURN_IF_ERROR(StartAggregators());
    TALLY_RETURN_IF_ERROR(StartWorkers());
    TALLY_RETURN_IF_ERROR(KillAggregators());
    TALLY_RETURN_IF_ERROR(KillWorker());
    TALLY_RETURN_IF_ERROR(PauseWorker());
    for (int rank = 0; rank < options_.num_workers; ++rank) {
      if (IsGone(rank)) continue;
      TALLY_RETURN_IF_ERROR(workers_[static_cast<size_t>(rank)]->Wait(options_.timeout));
    }
    for (const std::unique_ptr<ChildProcess>& aggregator : aggregators_) {
      aggregator->Signal(SIGTERM);
      TALLY_RETURN_IF_ERROR(aggregator->Wait(options_.timeout));
    }
    return ReadReports();
  }

 private:
  std::string PathOf(const std::string& name) const { return absl::StrCat(directory_, "/", name); }

  absl::Status StartAggregators() {
    for (int i = 0; i < options_.num_aggregators; ++i) {
      TALLY_ASSIGN_OR_RETURN(std::unique_ptr<ChildProcess> process, StartAggregator(i, "0"));
      aggregators_.push_back(std::move(process));
    }
    for (int i = 0; i < options_.num_aggregators; ++i) {
      const std::string name = absl::StrCat("agg-", i);
      TALLY_ASSIGN_OR_RETURN(const std::string port,
                             WaitForFile(PathOf(name + ".port"),
                                         *aggregators_[static_cast<size_t>(i)], options_.timeout));
      ports_.push_back(std::string(absl::StripAsciiWhitespace(port)));
      addresses_.push_back(absl::StrCat(name, "=127.0.0.1:", ports_.back()));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<ChildProcess>> StartAggregator(int index,
                                                                const std::string& port) const {
    TALLY_ASSIGN_OR_RETURN(const std::string program,
                           ProgramPath("aggregator/server/tally-aggregator"));
    const std::string name = absl::StrCat("agg-", index);
    std::vector<std::string> flags = {absl::StrCat("--name=", name),
                                      absl::StrCat("--listen=127.0.0.1:", port),
                                      absl::StrCat("--port_file=", PathOf(name + ".port"))};
    flags.insert(flags.end(), options_.aggregator_flags.begin(), options_.aggregator_flags.end());
    return ChildProcess::Start(program, flags, PathOf(name + ".log"));
  }

  // Kills as often as asked for. Fails if the workers are done before: nothing was shown then.
  absl::Status KillAggregators() {
    for (int kill = 0; kill < options_.aggregator_kills; ++kill) {
      const absl::Status end = workers_.front()->Wait(options_.kill_interval);
      if (!absl::IsDeadlineExceeded(end)) {
        if (!end.ok()) return end;
        return absl::FailedPreconditionError(
            absl::StrCat("the run was over after ", kill, " kills, must take longer"));
      }
      const int index = kill % options_.num_aggregators;
      std::unique_ptr<ChildProcess>& aggregator = aggregators_[static_cast<size_t>(index)];
      if (options_.aggregators_drain) {
        aggregator->Signal(SIGTERM);
        TALLY_RETURN_IF_ERROR(aggregator->Wait(options_.timeout));
      }
      aggregator.reset();
      TALLY_ASSIGN_OR_RETURN(aggregator,
                             StartAggregator(index, ports_[static_cast<size_t>(index)]));
    }
    return absl::OkStatus();
  }

  bool IsGone(int rank) const {
    return rank == options_.killed_worker && !options_.killed_worker_returns;
  }

  absl::StatusOr<std::unique_ptr<ChildProcess>> StartWorker(int rank) const {
    TALLY_ASSIGN_OR_RETURN(const std::string program, ProgramPath("examples/mlp_trainer"));
    const std::string name = absl::StrCat("w-", rank);
    std::vector<std::string> flags = {
        absl::StrCat("--rank=", rank),
        absl::StrCat("--workers=", options_.num_workers),
        absl::StrCat("--aggregators=", absl::StrJoin(addresses_, ",")),
        absl::StrCat("--text=", PathOf("text")),
        absl::StrCat("--report=", PathOf(name + ".json")),
    };
    flags.insert(flags.end(), options_.worker_flags.begin(), options_.worker_flags.end());
    const auto own = options_.flags_of_worker.find(rank);
    if (own != options_.flags_of_worker.end()) {
      flags.insert(flags.end(), own->second.begin(), own->second.end());
    }
    return ChildProcess::Start(program, flags, PathOf(name + ".log"));
  }

  absl::Status StartWorkers() {
    for (int rank = 0; rank < options_.num_workers; ++rank) {
      TALLY_ASSIGN_OR_RETURN(std::unique_ptr<ChildProcess> process, StartWorker(rank));
      workers_.push_back(std::move(process));
    }
    return absl::OkStatus();
  }

  absl::Status KillWorker() {
    if (!options_.killed_worker.has_value()) return absl::OkStatus();
    std::unique_ptr<ChildProcess>& worker = workers_[static_cast<size_t>(*options_.killed_worker)];
    const absl::Status end = worker->Wait(options_.kill_interval);
    if (!absl::IsDeadlineExceeded(end)) {
      return absl::FailedPreconditionError("the run was over before a worker was killed");
    }
    worker->Signal(SIGKILL);
    if (!options_.killed_worker_returns) return absl::OkStatus();
    worker.reset();
    TALLY_ASSIGN_OR_RETURN(worker, StartWorker(*options_.killed_worker));
    return absl::OkStatus();
  }

  absl::Status PauseWorker() {
    if (!options_.paused_worker.has_value()) return absl::OkStatus();
    ChildProcess& worker = *workers_[static_cast<size_t>(*options_.paused_worker)];
    const absl::Status end = worker.Wait(options_.kill_interval);
    if (!absl::IsDeadlineExceeded(end)) {
      return absl::FailedPreconditionError("the run was over before a worker stood still");
    }
    worker.Signal(SIGSTOP);
    absl::SleepFor(options_.pause);
    worker.Signal(SIGCONT);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<TrainingReport>> ReadReports() const {
    std::vector<TrainingReport> reports;
    for (int rank = 0; rank < options_.num_workers; ++rank) {
      if (IsGone(rank)) continue;
      std::ifstream file(PathOf(absl::StrCat("w-", rank, ".json")), std::ios::binary);
      const std::string json{std::istreambuf_iterator<char>(file),
                             std::istreambuf_iterator<char>()};
      TALLY_ASSIGN_OR_RETURN(TrainingReport report, ParseReport(json));
      reports.push_back(std::move(report));
    }
    return reports;
  }

  const TrainingRunOptions& options_;
  const std::string directory_;
  std::vector<std::string> ports_;
  std::vector<std::string> addresses_;
  // Workers end before the aggregators that they talk to.
  std::vector<std::unique_ptr<ChildProcess>> aggregators_;
  std::vector<std::unique_ptr<ChildProcess>> workers_;
};

}  // namespace

absl::StatusOr<std::vector<TrainingReport>> RunTraining(const TrainingRunOptions& options) {
  TALLY_ASSIGN_OR_RETURN(const std::string directory, TestVariable("TEST_TMPDIR"));
  return Run(options, absl::StrCat(directory, "/", options.name)).Execute();
}

}  // namespace tally
