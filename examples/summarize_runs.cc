// summarize_runs: from the workers' reports to a table, summary.json and the loss curves.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "examples/run_summary.h"
#include "examples/training_report.h"

ABSL_FLAG(std::string, out, ".", "Directory that gets summary.json and loss_curves.txt.");

namespace tally {
namespace {

absl::StatusOr<TrainingReport> ReadReport(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string json{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) {
    return absl::UnavailableError(absl::StrCat("report ", path, " cannot be read"));
  }
  absl::StatusOr<TrainingReport> report = ParseReport(json);
  if (report.ok()) return report;
  return absl::Status(report.status().code(),
                      absl::StrCat("report ", path, ": ", report.status().message()));
}

// `list`: the paths of one run's reports, separated by commas.
absl::StatusOr<RunSummary> ReadRun(const std::string& list) {
  std::vector<TrainingReport> reports;
  for (const std::string& path : std::vector<std::string>(absl::StrSplit(list, ','))) {
    TALLY_ASSIGN_OR_RETURN(TrainingReport report, ReadReport(path));
    reports.push_back(std::move(report));
  }
  return SummarizeRun(reports);
}

absl::Status Run(const std::vector<std::string>& lists) {
  if (lists.empty()) {
    return absl::InvalidArgumentError("must be given the reports of a run; see --help");
  }
  std::vector<RunSummary> runs;
  for (const std::string& list : lists) {
    TALLY_ASSIGN_OR_RETURN(RunSummary run, ReadRun(list));
    runs.push_back(std::move(run));
  }
  const std::string out = absl::GetFlag(FLAGS_out);
  TALLY_RETURN_IF_ERROR(WriteTextFile(out + "/summary.json", FormatSummary(runs)));
  TALLY_RETURN_IF_ERROR(WriteTextFile(out + "/loss_curves.txt", FormatCurves(runs)));
  std::fputs(FormatTable(runs).c_str(), stdout);
  return CompareLosses(runs);
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "Summarises runs from the reports of their workers, and fails if the workers of a run ended\n"
      "with different parameters or 1-bit Adam's loss is more than 3 % above "
      "dense_adam's.\n\n"
      "  summarize_runs --out=DIR dense/w-0.json,dense/w-1.json onebit/w-0.json,onebit/w-1.json");
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  const absl::Status status = tally::Run({arguments.begin() + 1, arguments.end()});
  if (!status.ok()) {
    std::fprintf(stderr, "summarize_runs: %s\n", status.ToString().c_str());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
