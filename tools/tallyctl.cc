// tallyctl: asks aggregators how they are; advises before a run is started.
#include <cstdint>
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
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "client/advice/advice.h"
#include "client/advice/advice_options.h"
#include "client/advice/advice_text.h"
#include "tools/advice_question.h"
#include "tools/status_query.h"
#include "tools/status_text.h"

ABSL_FLAG(std::vector<std::string>, aggregators, {},
          "status: host:port of each aggregator to ask, separated by commas; if empty, "
          "127.0.0.1:7070. advise: how many share the load; if empty, 1.");
ABSL_FLAG(std::string, job, "", "status: if set, only this job.");
ABSL_FLAG(absl::Duration, deadline, absl::Seconds(5), "status: how long to wait for each answer.");

ABSL_FLAG(std::string, parameters, "", "advise: of the model, such as 25.6e6.");
ABSL_FLAG(std::string, workers, "", "advise: how many.");
ABSL_FLAG(std::string, uplink, "", "advise: rate of a worker's link, such as 1Gbps or 250Mbps.");
ABSL_FLAG(std::string, downlink, "", "advise: the other direction; if empty, the uplink's rate.");
ABSL_FLAG(std::string, aggregator_link, "",
          "advise: rate of an aggregator's link, each way; if empty, the uplink's rate.");
ABSL_FLAG(std::string, aggregator_cores, "4", "advise: of each aggregator.");
ABSL_FLAG(std::string, latency, "0",
          "advise: between a worker and an aggregator, there and back, such as 2ms.");
ABSL_FLAG(std::string, step, "0",
          "advise: the trainer's own time for a forward and backward pass, such as 120ms.");
ABSL_FLAG(double, overlap, 0,
          "advise: share of --step behind which the trainer hides exchanges, 0 to 1.");
ABSL_FLAG(double, dense_share, 0,
          "advise: share of the parameters that the layout marks dense, below 1.");
ABSL_FLAG(uint32_t, chunk_elements, 1 << 20, "advise: parameters in a chunk of the layout.");
ABSL_FLAG(std::string, rounds, "10000", "advise: length of the run.");
ABSL_FLAG(
    std::string, warmup_rounds, "",
    "advise: uncompressed rounds at the start, for methods that have them; if empty, what the "
    "method does, or a fifth of the run where it decides by itself.");
ABSL_FLAG(std::string, dense_type, "float32",
          "advise: number format of dense exchanges: float32, float16 or bfloat16.");
ABSL_FLAG(double, share, 0.01, "advise: of the parameters, those that top-k methods send.");
ABSL_FLAG(double, sketch_share, 0.005,
          "advise: of the parameters, those that a sketch round updates.");
ABSL_FLAG(double, sketch_columns_share, 0.05, "advise: columns of a sketch per parameter.");

namespace tally {
namespace {

absl::Status CheckCommand(const std::vector<char*>& arguments) {
  if (arguments.size() == 2) {
    const std::string command = arguments[1];
    if (command == "status" || command == "advise") return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "must be told what to do, which is: tallyctl status --aggregators=host:port,..., or: "
      "tallyctl advise --parameters=25.6e6 --workers=16 --uplink=1Gbps; see --help");
}

std::vector<std::string> AggregatorsToAsk() {
  std::vector<std::string> addresses = absl::GetFlag(FLAGS_aggregators);
  if (addresses.empty()) addresses.push_back("127.0.0.1:7070");
  return addresses;
}

absl::Status CheckStatusFlags() {
  if (absl::GetFlag(FLAGS_deadline) <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("`--deadline` = ", absl::FormatDuration(absl::GetFlag(FLAGS_deadline)),
                     ", must be positive"));
  }
  for (const std::string& address : AggregatorsToAsk()) {
    if (!address.empty()) continue;
    return absl::InvalidArgumentError(
        "`--aggregators` must be host:port, one or more, separated by commas; an entry is empty");
  }
  return absl::OkStatus();
}

void Complain(const absl::Status& status) {
  std::fprintf(stderr, "tallyctl: %s\n", status.ToString().c_str());
}

// Asks all, also after one has failed; false if one has.
bool ShowStatus() {
  bool all_answered = true;
  for (const std::string& address : AggregatorsToAsk()) {
    const absl::StatusOr<v1::GetStatusResponse> status =
        QueryStatus(address, absl::GetFlag(FLAGS_job), absl::GetFlag(FLAGS_deadline));
    if (status.ok()) {
      std::fputs(FormatStatus(*status).c_str(), stdout);
    } else {
      Complain(status.status());
      all_answered = false;
    }
  }
  return all_answered;
}

absl::Status ShowAdvice() {
  TALLY_ASSIGN_OR_RETURN(
      const AdviceOptions options,
      ReadQuestion({.parameters = absl::GetFlag(FLAGS_parameters),
                    .workers = absl::GetFlag(FLAGS_workers),
                    .uplink = absl::GetFlag(FLAGS_uplink),
                    .downlink = absl::GetFlag(FLAGS_downlink),
                    .aggregators = absl::StrJoin(absl::GetFlag(FLAGS_aggregators), ","),
                    .aggregator_link = absl::GetFlag(FLAGS_aggregator_link),
                    .aggregator_cores = absl::GetFlag(FLAGS_aggregator_cores),
                    .latency = absl::GetFlag(FLAGS_latency),
                    .step = absl::GetFlag(FLAGS_step),
                    .overlap = absl::GetFlag(FLAGS_overlap),
                    .dense_share = absl::GetFlag(FLAGS_dense_share),
                    .chunk_elements = absl::GetFlag(FLAGS_chunk_elements),
                    .rounds = absl::GetFlag(FLAGS_rounds),
                    .warmup_rounds = absl::GetFlag(FLAGS_warmup_rounds),
                    .dense_type = absl::GetFlag(FLAGS_dense_type),
                    .share = absl::GetFlag(FLAGS_share),
                    .sketch_share = absl::GetFlag(FLAGS_sketch_share),
                    .sketch_columns_share = absl::GetFlag(FLAGS_sketch_columns_share)}));
  TALLY_ASSIGN_OR_RETURN(const Advice advice, Advise(options));
  std::fputs(FormatAdvice(advice).c_str(), stdout);
  return absl::OkStatus();
}

// Does what the command line says; false if that failed, having said why.
bool Run(const std::vector<char*>& arguments) {
  absl::Status status = CheckCommand(arguments);
  if (status.ok() && std::string(arguments[1]) == "advise") {
    status = ShowAdvice();
  } else if (status.ok()) {
    status = CheckStatusFlags();
    if (status.ok()) return ShowStatus();
  }
  if (!status.ok()) Complain(status);
  return status.ok();
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "Shows what the jobs of aggregators wait for, and fails if an aggregator does not answer, "
      "after asking the others:\n\n"
      "  tallyctl status --aggregators=host-a:7070,host-b:7070 [--job=bert]\n\n"
      "Reckons, before a run is started, what a round of every method costs over given links, and "
      "whether compression pays:\n\n"
      "  tallyctl advise --parameters=25.6e6 --workers=16 --uplink=1Gbps --step=120ms");
  absl::FlagsUsageConfig config;
  config.contains_helpshort_flags = [](absl::string_view file) {
    return absl::StrContains(file, "tools/tallyctl.cc");
  };
  config.contains_help_flags = config.contains_helpshort_flags;
  absl::SetFlagsUsageConfig(config);
  return tally::Run(absl::ParseCommandLine(argc, argv)) ? EXIT_SUCCESS : EXIT_FAILURE;
}
