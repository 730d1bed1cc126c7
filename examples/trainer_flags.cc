#include "examples/trainer_flags.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/fault_plan.h"
#include "base/status_macros.h"
#include "client/optimizers/create_optimizer.h"
#include "examples/method_presets.h"

ABSL_FLAG(std::string, job, "example", "The training job's name; equal on all workers.");
ABSL_FLAG(std::string, worker, "", "This worker's name; if empty, w- and its rank.");
ABSL_FLAG(uint32_t, rank, 0,
          "This worker's number, from 0: decides its share of the text. Number 0 shows progress "
          "and validates.");
ABSL_FLAG(uint32_t, workers, 1, "Workers that begin the run; equal on all.");
ABSL_FLAG(
    uint32_t, max_workers, 0,
    "Workers that the run may grow to, equal on all; 0: as many as begin it. Who comes when it "
    "has begun has a --worker of its own and shares the text of one of the --rank's.");
ABSL_FLAG(uint32_t, max_late, 0,
          "Rounds may close without so many workers that are late, if more than half are there; "
          "equal on all workers.");
ABSL_FLAG(absl::Duration, late_ceiling, absl::Seconds(10),
          "The longest that a round waits for late workers once enough are there; equal on all "
          "workers.");
ABSL_FLAG(std::string, aggregators, "agg-0=127.0.0.1:7070",
          "name=host:port of each aggregator, separated by commas; equal on all workers.");
ABSL_FLAG(uint64_t, run, 0,
          "Tells this start of the job from others; equal on all workers, new for every start.");
ABSL_FLAG(std::string, optimizer, "onebit_adam", "The method, such as dense_adam or onebit_adam.");
ABSL_FLAG(std::string, variant, "",
          "A name for these settings, for the reports: tells runs of one method apart.");
ABSL_FLAG(uint64_t, rounds, 600, "Steps to train.");
ABSL_FLAG(absl::optional<uint64_t>, warmup_rounds, absl::nullopt,
          "Uncompressed rounds at the start, for methods that have them, and steps until "
          "zeroone_adam freezes its variance; if empty, a share of the rounds that suits the "
          "method.");
ABSL_FLAG(
    double, max_coefficient, 10,
    "For dense_lamb and onebit_lamb: bound of a tensor's rate, relative to the learning rate.");
ABSL_FLAG(uint64_t, variance_scaler, 16,
          "For zeroone_adam: its variance is refreshed half as often after so many refreshes.");
ABSL_FLAG(absl::optional<uint64_t>, local_step_scaler, absl::nullopt,
          "For zeroone_adam: it exchanges half as often after so many steps with a frozen "
          "variance; if empty, a fifth of the rounds.");
ABSL_FLAG(uint64_t, max_local_steps, 16, "For zeroone_adam: the most steps between two exchanges.");
ABSL_FLAG(absl::optional<double>, beta1, absl::nullopt,
          "Of the first moment, for methods of Adam's family; if empty, what suits the method.");
ABSL_FLAG(double, beta2, 0.999, "Of the second moment, for methods of Adam's family.");
ABSL_FLAG(absl::optional<double>, momentum, absl::nullopt,
          "Of dense_sgd, sign_sgd, topk_sgd, sketched_sgd; birder's beta; if empty, what suits the "
          "method.");
ABSL_FLAG(double, weight_decay, 0, "Decoupled weight decay.");
ABSL_FLAG(std::string, dense_type, "float32",
          "Number format of dense exchanges: float32, float16 or bfloat16.");
ABSL_FLAG(absl::optional<double>, magnitude_beta, absl::nullopt,
          "birder's beta of the mean magnitude of the gradient; if empty, what suits the model.");
ABSL_FLAG(bool, vote_counts, false, "For birder: the numbers of votes come down, not bits.");
ABSL_FLAG(std::string, compressor, "sign", "Of cd_adam: sign or topk.");
ABSL_FLAG(std::string, tracking, "momentum", "What cd_adam tracks: gradient or momentum.");
ABSL_FLAG(std::string, scale_rule, "root_mean_square",
          "Of signs' scales: root_mean_square or mean_magnitude.");
ABSL_FLAG(uint32_t, block_elements, 1024, "For cd_adam: elements that share a scale.");
ABSL_FLAG(double, share, 0.01, "For topk_sgd and cd_adam with topk: of the elements, those sent.");
ABSL_FLAG(absl::optional<double>, sketch_share, absl::nullopt,
          "Of the elements, those that a sketch round updates; if empty, what suits the method.");
ABSL_FLAG(absl::optional<double>, sketch_columns_share, absl::nullopt,
          "Columns of a sketch per element; if empty, what suits the method.");
ABSL_FLAG(uint32_t, sketch_rows, 5, "Rows of a sketch; odd.");
ABSL_FLAG(absl::optional<uint32_t>, sketch_candidates, absl::nullopt,
          "Candidates per updated element of a sketch round; if empty, what suits the method.");
ABSL_FLAG(bool, small_sketch, false,
          "For sketched_amsgrad: settings of about 4 bits a parameter up and half a bit down.");
ABSL_FLAG(bool, sketch_exact_values, true,
          "Whether sketch rounds have a second half, which fetches exact values.");
ABSL_FLAG(std::string, sketch_table_type, "bfloat16", "Number format of sketches.");
ABSL_FLAG(std::string, sketch_values_type, "bfloat16",
          "Number format of the second half's values.");
ABSL_FLAG(absl::optional<double>, learning_rate, absl::nullopt,
          "Learning rate; if empty, what suits the method and the example models.");
ABSL_FLAG(
    absl::optional<double>, final_learning_rate_share, absl::nullopt,
    "Share of the learning rate that is left at the last step; it falls in a straight line. If "
    "empty, what suits the method.");
ABSL_FLAG(absl::optional<double>, epsilon, absl::nullopt,
          "Added to the root of the second moment; if empty, what suits the model.");
ABSL_FLAG(absl::optional<uint32_t>, batch, absl::nullopt,
          "Windows of text per worker and step; if empty, what suits the model.");
ABSL_FLAG(uint64_t, seed, 1, "Of initial parameters and batches; equal on all workers.");
ABSL_FLAG(std::string, text, "/usr/share/common-licenses",
          "A text file, or a directory of text files; equal on all workers.");
ABSL_FLAG(std::string, report, "", "If set: a file that gets the report (JSON) at the end.");
ABSL_FLAG(uint64_t, quality_interval, 10,
          "Rounds between two whose quality is measured: the update against what this worker put "
          "in; 0: none is.");
ABSL_FLAG(std::string, metrics_file, "",
          "If set: a file that gets the quality of the last measured round, in Prometheus' text "
          "format, for node_exporter's textfile collector.");
ABSL_FLAG(uint64_t, metrics_every, 10, "Rounds between two writes of the metrics file.");
ABSL_FLAG(uint64_t, validate_every, 0,
          "Rounds between two points of the validation curve; 0: at start and end only.");
ABSL_FLAG(std::string, checkpoints, "",
          "A directory for checkpoints; each worker writes files of its own name.");
ABSL_FLAG(uint64_t, checkpoint_every, 0,
          "Rounds between two checkpoints, equal on all workers; 0: none are written.");
ABSL_FLAG(uint64_t, resume_after, 0,
          "Goes on from the checkpoint after this round, which every worker must have; equal on "
          "all workers. 0: from the beginning.");
ABSL_FLAG(uint64_t, leave_after, 0,
          "If set: this worker leaves after so many rounds, while the others go on, and hands its "
          "residual over to one of them.");
ABSL_FLAG(absl::optional<uint32_t>, chunk_elements, absl::nullopt,
          "Elements of a chunk; if empty, what suits the model. Equal on all workers.");
ABSL_FLAG(uint32_t, arrival_jitter_ms, 0,
          "Wait a random time, at most so long, before each step: shuffles the order in which "
          "contributions arrive, which must change nothing.");
ABSL_FLAG(std::string, faults, "",
          "Faults to inject into this worker, such as seed=1,cut=2s,delay=20ms,kill=1m: mean times "
          "between cuts of its streams and until it kills itself, the longest delay of a message.");
ABSL_FLAG(absl::Duration, start_timeout, absl::Minutes(2),
          "How long to wait for aggregators and the other workers.");
ABSL_FLAG(absl::Duration, aggregator_timeout, absl::Minutes(2),
          "How long a round may stand still.");

namespace tally {
namespace {

absl::StatusOr<DType> ParseDType(absl::string_view flag, const std::string& value) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    if (absl::EqualsIgnoreCase(value, DTypeName(dtype))) return dtype;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("`--", flag, "` = \"", value, "\", must be float32, float16 or bfloat16"));
}

MethodPreset ChosenPreset() {
  const MethodPreset preset = PresetOf(absl::GetFlag(FLAGS_optimizer));
  return absl::GetFlag(FLAGS_small_sketch) ? WithSmallSketch(preset) : preset;
}

absl::StatusOr<OptimizerOptions> ReadMethodFlags() {
  OptimizerOptions method;
  method.adam.beta2 = static_cast<float>(absl::GetFlag(FLAGS_beta2));
  method.adam.weight_decay = static_cast<float>(absl::GetFlag(FLAGS_weight_decay));
  const MethodPreset preset = ChosenPreset();
  method.adam.beta1 = static_cast<float>(absl::GetFlag(FLAGS_beta1).value_or(preset.beta1));
  method.momentum = static_cast<float>(absl::GetFlag(FLAGS_momentum).value_or(preset.momentum));
  TALLY_ASSIGN_OR_RETURN(method.dtype, ParseDType("dense_type", absl::GetFlag(FLAGS_dense_type)));
  method.adam.quality_interval = absl::GetFlag(FLAGS_quality_interval);
  method.warmup_rounds = absl::GetFlag(FLAGS_warmup_rounds);
  if (!method.warmup_rounds.has_value() && preset.warmup_share > 0) {
    method.warmup_rounds = static_cast<uint64_t>(
        std::ceil(preset.warmup_share * static_cast<double>(absl::GetFlag(FLAGS_rounds))));
  }
  method.layer_rates.max_coefficient = absl::GetFlag(FLAGS_max_coefficient);
  method.schedule.variance_scaler = absl::GetFlag(FLAGS_variance_scaler);
  method.schedule.local_step_scaler =
      absl::GetFlag(FLAGS_local_step_scaler)
          .value_or(std::max<uint64_t>(1, absl::GetFlag(FLAGS_rounds) / 5));
  method.schedule.max_local_steps = absl::GetFlag(FLAGS_max_local_steps);
  const absl::optional<double> magnitude_beta = absl::GetFlag(FLAGS_magnitude_beta).has_value()
                                                    ? absl::GetFlag(FLAGS_magnitude_beta)
                                                    : preset.magnitude_beta;
  if (magnitude_beta.has_value()) method.magnitude_beta = static_cast<float>(*magnitude_beta);
  method.vote_counts = absl::GetFlag(FLAGS_vote_counts);
  const std::string compressor = absl::GetFlag(FLAGS_compressor);
  if (compressor != "sign" && compressor != "topk") {
    return absl::InvalidArgumentError(
        absl::StrCat("`--compressor` = \"", compressor, "\", must be sign or topk"));
  }
  method.compressor = compressor == "sign" ? CdAdamCompressor::kSign : CdAdamCompressor::kTopk;
  const std::string tracking = absl::GetFlag(FLAGS_tracking);
  if (tracking != "gradient" && tracking != "momentum") {
    return absl::InvalidArgumentError(
        absl::StrCat("`--tracking` = \"", tracking, "\", must be gradient or momentum"));
  }
  method.tracking = tracking == "gradient" ? Tracking::kGradient : Tracking::kMomentum;
  const std::string scale_rule = absl::GetFlag(FLAGS_scale_rule);
  if (scale_rule != "root_mean_square" && scale_rule != "mean_magnitude") {
    return absl::InvalidArgumentError(absl::StrCat(
        "`--scale_rule` = \"", scale_rule, "\", must be root_mean_square or mean_magnitude"));
  }
  method.scale_rule =
      scale_rule == "root_mean_square" ? ScaleRule::kRootMeanSquare : ScaleRule::kMeanMagnitude;
  method.block_elements = absl::GetFlag(FLAGS_block_elements);
  method.share = absl::GetFlag(FLAGS_share);
  method.sketch.rows = absl::GetFlag(FLAGS_sketch_rows);
  method.sketch.candidates_per_updated =
      absl::GetFlag(FLAGS_sketch_candidates).value_or(preset.sketch_candidates);
  method.sketch.exact_values = absl::GetFlag(FLAGS_sketch_exact_values);
  TALLY_ASSIGN_OR_RETURN(method.sketch.table_dtype,
                         ParseDType("sketch_table_type", absl::GetFlag(FLAGS_sketch_table_type)));
  TALLY_ASSIGN_OR_RETURN(method.sketch.values_dtype,
                         ParseDType("sketch_values_type", absl::GetFlag(FLAGS_sketch_values_type)));
  return method;
}

}  // namespace

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
  options.max_workers = absl::GetFlag(FLAGS_max_workers);
  options.max_late = absl::GetFlag(FLAGS_max_late);
  options.late_ceiling = absl::GetFlag(FLAGS_late_ceiling);
  TALLY_ASSIGN_OR_RETURN(options.aggregators, ParseAggregators(absl::GetFlag(FLAGS_aggregators)));
  options.run = absl::GetFlag(FLAGS_run);
  options.optimizer = absl::GetFlag(FLAGS_optimizer);
  options.variant = absl::GetFlag(FLAGS_variant);
  options.rounds = absl::GetFlag(FLAGS_rounds);
  TALLY_ASSIGN_OR_RETURN(options.method, ReadMethodFlags());
  const MethodPreset preset = ChosenPreset();
  options.sketch_share = absl::GetFlag(FLAGS_sketch_share).value_or(preset.sketch_share);
  options.sketch_columns_share =
      absl::GetFlag(FLAGS_sketch_columns_share).value_or(preset.sketch_columns_share);
  options.learning_rate = absl::GetFlag(FLAGS_learning_rate)
                              .value_or(preset.learning_rate * defaults.learning_rate_scale);
  options.final_learning_rate_share =
      absl::GetFlag(FLAGS_final_learning_rate_share).value_or(preset.final_learning_rate_share);
  options.epsilon = absl::GetFlag(FLAGS_epsilon).value_or(defaults.epsilon);
  options.batch = absl::GetFlag(FLAGS_batch).value_or(defaults.batch);
  options.seed = absl::GetFlag(FLAGS_seed);
  options.text = absl::GetFlag(FLAGS_text);
  options.report = absl::GetFlag(FLAGS_report);
  options.metrics_file = absl::GetFlag(FLAGS_metrics_file);
  options.metrics_every = absl::GetFlag(FLAGS_metrics_every);
  options.validate_every = absl::GetFlag(FLAGS_validate_every);
  options.checkpoints = absl::GetFlag(FLAGS_checkpoints);
  options.checkpoint_every = absl::GetFlag(FLAGS_checkpoint_every);
  options.resume_after = absl::GetFlag(FLAGS_resume_after);
  options.leave_after = absl::GetFlag(FLAGS_leave_after);
  options.chunk_elements = absl::GetFlag(FLAGS_chunk_elements).value_or(defaults.chunk_elements);
  options.arrival_jitter_ms = absl::GetFlag(FLAGS_arrival_jitter_ms);
  options.start_timeout = absl::GetFlag(FLAGS_start_timeout);
  options.aggregator_timeout = absl::GetFlag(FLAGS_aggregator_timeout);
  TALLY_ASSIGN_OR_RETURN(options.faults, ParseFaultPlan(absl::GetFlag(FLAGS_faults)));
  TALLY_RETURN_IF_ERROR(ValidateTrainerOptions(options));
  return options;
}

}  // namespace tally
