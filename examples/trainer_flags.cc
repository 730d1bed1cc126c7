#include "examples/trainer_flags.h"

#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

ABSL_FLAG(std::string, job, "example", "The training job's name; equal on all workers.");
ABSL_FLAG(std::string, worker, "", "This worker's name; if empty, w- and its rank.");
ABSL_FLAG(uint32_t, rank, 0,
          "This worker's number, from 0: decides its share of the text. Number 0 shows progress "
          "and validates.");
ABSL_FLAG(uint32_t, workers, 1, "Workers of the run; equal on all.");
ABSL_FLAG(std::string, aggregators, "agg-0=127.0.0.1:7070",
          "name=host:port of each aggregator, separated by commas; equal on all workers.");
ABSL_FLAG(uint64_t, run, 0,
          "Tells this start of the job from others; equal on all workers, new for every start.");
ABSL_FLAG(std::string, optimizer, "onebit_adam", "The method, such as dense_adam or onebit_adam.");
ABSL_FLAG(uint64_t, rounds, 600, "Steps to train.");
ABSL_FLAG(absl::optional<uint64_t>, warmup_rounds, absl::nullopt,
          "Uncompressed rounds at the start, for methods that have them; if empty, the method "
          "decides.");
ABSL_FLAG(absl::optional<double>, learning_rate, absl::nullopt,
          "Learning rate; if empty, what suits the model.");
ABSL_FLAG(absl::optional<double>, epsilon, absl::nullopt,
          "Added to the root of the second moment; if empty, what suits the model.");
ABSL_FLAG(absl::optional<uint32_t>, batch, absl::nullopt,
          "Windows of text per worker and step; if empty, what suits the model.");
ABSL_FLAG(uint64_t, seed, 1, "Of initial parameters and batches; equal on all workers.");
ABSL_FLAG(std::string, text, "/usr/share/common-licenses",
          "A text file, or a directory of text files; equal on all workers.");
ABSL_FLAG(std::string, report, "", "If set: a file that gets the report (JSON) at the end.");
ABSL_FLAG(uint64_t, validate_every, 0,
          "Rounds between two points of the validation curve; 0: at start and end only.");
ABSL_FLAG(absl::optional<uint32_t>, chunk_elements, absl::nullopt,
          "Elements of a chunk; if empty, what suits the model. Equal on all workers.");
ABSL_FLAG(uint32_t, arrival_jitter_ms, 0,
          "Wait a random time, at most so long, before each step: shuffles the order in which "
          "contributions arrive, which must change nothing.");
ABSL_FLAG(absl::Duration, start_timeout, absl::Minutes(2),
          "How long to wait for aggregators and the other workers.");
ABSL_FLAG(absl::Duration, aggregator_timeout, absl::Minutes(2),
          "How long a round may stand still.");

namespace tally {

absl::StatusOr<TrainerOptions> ReadTrainerFlags(int argc, char** argv, absl::string_view usage,
                                                const TrainerDefaults& defaults) {
  absl::SetProgramUsageMessage(usage);
  absl::FlagsUsageConfig config;
  config.contains_helpshort_flags = [](absl::string_view file) {
    return absl::StrContains(file, "examples/trainer_flags.cc");
  };
  config.contains_help_flags = config.contains_helpshort_flags;
  absl::SetFlagsUsageConfig(config);
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  if (arguments.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("`", arguments[1], "` must be a flag, such as --rounds=600; see --help"));
  }
  TrainerOptions options;
  options.job = absl::GetFlag(FLAGS_job);
  options.rank = absl::GetFlag(FLAGS_rank);
  options.worker = absl::GetFlag(FLAGS_worker);
  if (options.worker.empty()) options.worker = absl::StrCat("w-", options.rank);
  options.workers = absl::GetFlag(FLAGS_workers);
  TALLY_ASSIGN_OR_RETURN(options.aggregators, ParseAggregators(absl::GetFlag(FLAGS_aggregators)));
  options.run = absl::GetFlag(FLAGS_run);
  options.optimizer = absl::GetFlag(FLAGS_optimizer);
  options.rounds = absl::GetFlag(FLAGS_rounds);
  options.warmup_rounds = absl::GetFlag(FLAGS_warmup_rounds);
  options.learning_rate = absl::GetFlag(FLAGS_learning_rate).value_or(defaults.learning_rate);
  options.epsilon = absl::GetFlag(FLAGS_epsilon).value_or(defaults.epsilon);
  options.batch = absl::GetFlag(FLAGS_batch).value_or(defaults.batch);
  options.seed = absl::GetFlag(FLAGS_seed);
  options.text = absl::GetFlag(FLAGS_text);
  options.report = absl::GetFlag(FLAGS_report);
  options.validate_every = absl::GetFlag(FLAGS_validate_every);
  options.chunk_elements = absl::GetFlag(FLAGS_chunk_elements).value_or(defaults.chunk_elements);
  options.arrival_jitter_ms = absl::GetFlag(FLAGS_arrival_jitter_ms);
  options.start_timeout = absl::GetFlag(FLAGS_start_timeout);
  options.aggregator_timeout = absl::GetFlag(FLAGS_aggregator_timeout);
  TALLY_RETURN_IF_ERROR(ValidateTrainerOptions(options));
  return options;
}

}  // namespace tally
