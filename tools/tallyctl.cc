// tallyctl: asks aggregators how they are.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "tools/status_query.h"
#include "tools/status_text.h"

ABSL_FLAG(std::vector<std::string>, aggregators, {"127.0.0.1:7070"},
          "host:port of each aggregator to ask, separated by commas.");
ABSL_FLAG(std::string, job, "", "If set: only this job.");
ABSL_FLAG(absl::Duration, deadline, absl::Seconds(5), "How long to wait for each answer.");

namespace tally {
namespace {

absl::Status CheckArguments(const std::vector<char*>& arguments) {
  if (arguments.size() != 2 || std::string(arguments[1]) != "status") {
    return absl::InvalidArgumentError(
        "must be told what to do, which is: tallyctl status --aggregators=host:port,...; see "
        "--help");
  }
  if (absl::GetFlag(FLAGS_deadline) <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("`--deadline` = ", absl::FormatDuration(absl::GetFlag(FLAGS_deadline)),
                     ", must be positive"));
  }
  for (const std::string& address : absl::GetFlag(FLAGS_aggregators)) {
    if (!address.empty()) continue;
    return absl::InvalidArgumentError(
        "`--aggregators` must be host:port, one or more, separated by commas; an entry is empty");
  }
  return absl::OkStatus();
}

// Asks all, also after one has failed; returns the first failure.
absl::Status ShowStatus() {
  absl::Status first_failure;
  for (const std::string& address : absl::GetFlag(FLAGS_aggregators)) {
    const absl::StatusOr<v1::GetStatusResponse> status =
        QueryStatus(address, absl::GetFlag(FLAGS_job), absl::GetFlag(FLAGS_deadline));
    if (status.ok()) {
      std::fputs(FormatStatus(*status).c_str(), stdout);
    } else {
      std::fprintf(stderr, "tallyctl: %s\n", status.status().ToString().c_str());
      first_failure.Update(status.status());
    }
  }
  return first_failure;
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "Shows what the jobs of aggregators wait for.\n\n"
      "  tallyctl status --aggregators=host-a:7070,host-b:7070 [--job=bert]\n\n"
      "Fails if an aggregator does not answer, after asking the others.");
  absl::FlagsUsageConfig config;
  config.contains_helpshort_flags = [](absl::string_view file) {
    return absl::StrContains(file, "tools/tallyctl.cc");
  };
  config.contains_help_flags = config.contains_helpshort_flags;
  absl::SetFlagsUsageConfig(config);
  const absl::Status arguments = tally::CheckArguments(absl::ParseCommandLine(argc, argv));
  if (!arguments.ok()) {
    std::fprintf(stderr, "tallyctl: %s\n", arguments.ToString().c_str());
    return EXIT_FAILURE;
  }
  return tally::ShowStatus().ok() ? EXIT_SUCCESS : EXIT_FAILURE;
}
