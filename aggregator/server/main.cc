// tally-aggregator: the aggregation service as a process.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "aggregator/server/server.h"
#include "base/byte_size.h"
#include "base/choices.h"
#include "base/clock.h"
#include "base/fault_plan.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "kernels/backends.h"

ABSL_FLAG(std::string, name, "agg-0",
          "This aggregator's name, as the workers' lists give it; in Kubernetes the pod's name.");
ABSL_FLAG(std::string, listen, "127.0.0.1:7070",
          "Where to listen: host:port (port 0 takes a free one) or unix:/path.");
ABSL_FLAG(std::string, memory_limit, "2GiB",
          "Memory that jobs may take here, for example 512MiB or 16GiB. A job that does not fit is "
          "refused when it starts; a quarter is kept for the transport.");
ABSL_FLAG(uint32_t, window_chunks, 16,
          "How many chunks a worker may send past the lowest one that is incomplete here.");
ABSL_FLAG(int, threads, 0, "Threads for the arithmetic; 0 takes one per core.");
ABSL_FLAG(
    std::string, backend, "auto",
    "Arithmetic: auto (the fastest of this machine), cuda (an NVIDIA GPU), simd or scalar. All "
    "give the same bits.");
ABSL_FLAG(
    std::string, device_memory_limit, "",
    "Memory of the GPU that may be taken, for example 20GiB; empty takes what is needed. What "
    "does not fit is computed by the processor. Without a GPU: no effect.");
ABSL_FLAG(std::string, port_file, "",
          "If set: a file that gets the port, once the aggregator listens.");
ABSL_FLAG(absl::Duration, drain_timeout, absl::Seconds(20),
          "After SIGTERM or SIGINT: how long rounds under way may take to end.");
ABSL_FLAG(absl::Duration, silence_limit, absl::Seconds(30),
          "A stream that sends nothing for so long is closed.");
ABSL_FLAG(absl::Duration, evict_after, absl::Seconds(30),
          "A worker that was silent for so long is held for dead, if enough others reach all "
          "aggregators; its run goes on without it.");
ABSL_FLAG(absl::Duration, minority_after, absl::Seconds(120),
          "The same if fewer of the others do, but at least one.");
ABSL_FLAG(absl::Duration, progress_after, absl::Minutes(5),
          "A worker that is heard, but for whose contribution others have waited for so long, is "
          "held for dead like a silent one: longer than any step, validation or checkpoint takes.");
ABSL_FLAG(absl::Duration, recover_after, absl::Seconds(30),
          "After its start the aggregator holds nobody for dead for so long.");
ABSL_FLAG(absl::Duration, forget_after, absl::Seconds(30),
          "A run of which no worker has been connected for so long is over.");
ABSL_FLAG(
    std::string, faults, "",
    "A fault to inject, for tests of jobs: seed=1,kill=30s kills this process with SIGKILL at a "
    "random time with that mean.");
ABSL_FLAG(std::string, log_level, "info", "debug, info, warning, error or off.");

namespace tally {
namespace {

// Written beside and renamed, so that whoever polls for it never reads half a number.
absl::Status WritePortFile(const std::string& path, int port) {
  const std::string temporary = path + ".new";
  std::ofstream file(temporary);
  file << port << "\n";
  file.close();
  if (!file || std::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(
        absl::StrCat("`port_file` = \"", path, "\", must be a path that can be written"));
  }
  return absl::OkStatus();
}

// Of an aggregator's own faults there is one.
absl::StatusOr<FaultPlan> ReadFaults() {
  TALLY_ASSIGN_OR_RETURN(const FaultPlan faults, ParseFaultPlan(absl::GetFlag(FLAGS_faults)));
  if (faults.cut == absl::InfiniteDuration() && faults.delay == absl::ZeroDuration()) return faults;
  return absl::InvalidArgumentError(
      absl::StrCat("`faults` = \"", absl::GetFlag(FLAGS_faults),
                   "\", must have no cut and no delay, which are the workers' to inject"));
}

// Returns the signal that stops this process, unless it is to kill itself before.
int AwaitSignal(const sigset_t& stop_signals, const FaultPlan& faults) {
  int signal = 0;
  if (faults.kill == absl::InfiniteDuration()) {
    sigwait(&stop_signals, &signal);
    return signal;
  }
  Choices choices(faults.seed, /*purpose=*/0);
  const timespec wait = absl::ToTimespec(TimeAround(faults.kill, choices));
  signal = sigtimedwait(&stop_signals, nullptr, &wait);
  if (signal < 0) raise(SIGKILL);
  return signal;
}

absl::StatusOr<uint64_t> ReadByteSize(absl::string_view flag, const std::string& value) {
  const absl::StatusOr<uint64_t> num_bytes = ParseByteSize(value);
  if (num_bytes.ok()) return *num_bytes;
  return absl::InvalidArgumentError(absl::StrCat("`", flag, "`: ", num_bytes.status().message()));
}

// 0 if there is none.
absl::StatusOr<uint64_t> ReadDeviceMemoryLimit() {
  const std::string value = absl::GetFlag(FLAGS_device_memory_limit);
  if (value.empty()) return 0;
  TALLY_ASSIGN_OR_RETURN(const uint64_t num_bytes, ReadByteSize("device_memory_limit", value));
  if (num_bytes > 0) return num_bytes;
  return absl::InvalidArgumentError(
      absl::StrCat("`device_memory_limit` = \"", value, "\", must be positive, or empty"));
}

// The next process reads all runs back from their workers, residuals too.
[[noreturn]] void EndAtOnce(const absl::Status& loss) {
  LogError(absl::StrCat("ends, to begin anew: ", loss.message()));
  std::_Exit(EXIT_FAILURE);
}

absl::Status Run(const sigset_t& stop_signals) {
  TALLY_ASSIGN_OR_RETURN(const FaultPlan faults, ReadFaults());
  TALLY_RETURN_IF_ERROR(InitLogging(absl::GetFlag(FLAGS_log_level)));
  TALLY_ASSIGN_OR_RETURN(const uint64_t memory_limit,
                         ReadByteSize("memory_limit", absl::GetFlag(FLAGS_memory_limit)));
  TALLY_ASSIGN_OR_RETURN(const uint64_t device_memory_limit, ReadDeviceMemoryLimit());
  TALLY_ASSIGN_OR_RETURN(const Backend* const backend, FindBackend(absl::GetFlag(FLAGS_backend)));
  const int threads = absl::GetFlag(FLAGS_threads);
  const RealClock clock;
  TALLY_ASSIGN_OR_RETURN(
      const std::unique_ptr<Server> server,
      Server::Create(
          {.name = absl::GetFlag(FLAGS_name),
           .listen = absl::GetFlag(FLAGS_listen),
           .memory_limit_bytes = memory_limit,
           .device_memory_limit_bytes = device_memory_limit,
           .on_residual_lost = EndAtOnce,
           .window_chunks = absl::GetFlag(FLAGS_window_chunks),
           .num_compute_threads =
               threads == 0 ? static_cast<int>(std::thread::hardware_concurrency()) : threads,
           .silence_limit = absl::GetFlag(FLAGS_silence_limit),
           .forget_after = absl::GetFlag(FLAGS_forget_after),
           .drain_timeout = absl::GetFlag(FLAGS_drain_timeout),
           .evict_after = absl::GetFlag(FLAGS_evict_after),
           .minority_after = absl::GetFlag(FLAGS_minority_after),
           .progress_after = absl::GetFlag(FLAGS_progress_after),
           .recover_after = absl::GetFlag(FLAGS_recover_after)},
          backend, &clock));
  LogInfo(absl::StrCat("aggregator `", absl::GetFlag(FLAGS_name), "` listens on ",
                       absl::GetFlag(FLAGS_listen), " (port ", server->port(), "), memory limit ",
                       FormatByteSize(memory_limit), ", back end ", BackendDescription(*backend)));
  if (!absl::GetFlag(FLAGS_port_file).empty()) {
    TALLY_RETURN_IF_ERROR(WritePortFile(absl::GetFlag(FLAGS_port_file), server->port()));
  }

  const int signal = AwaitSignal(stop_signals, faults);
  LogInfo(absl::StrCat("signal ", signal, ": draining for ",
                       absl::FormatDuration(absl::GetFlag(FLAGS_drain_timeout)), " at most"));
  const uint32_t unfinished = server->Drain();
  LogInfo(absl::StrCat("drained; ", unfinished, " exchanges cut off"));
  return absl::OkStatus();
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "Adds up the gradients of training workers.\n\n"
      "  tally-aggregator --name=agg-0 --listen=0.0.0.0:7070 --memory_limit=8GiB\n\n"
      "Keeps nothing on disk. Ask it what its jobs wait for with: tallyctl status");
  absl::FlagsUsageConfig config;
  config.contains_helpshort_flags = [](absl::string_view file) {
    return absl::StrContains(file, "aggregator/server/main.cc");
  };
  config.contains_help_flags = config.contains_helpshort_flags;
  absl::SetFlagsUsageConfig(config);
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  if (arguments.size() > 1) {
    std::fprintf(stderr,
                 "tally-aggregator: `%s` must be a flag, such as --listen=...; see --help\n",
                 arguments[1]);
    return EXIT_FAILURE;
  }
  // Before the first thread, so that all inherit it and the signals come to sigwait alone.
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);

  const absl::Status status = tally::Run(stop_signals);
  if (!status.ok()) {
    std::fprintf(stderr, "tally-aggregator: %s\n", status.ToString().c_str());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
