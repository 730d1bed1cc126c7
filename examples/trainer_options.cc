#include "examples/trainer_options.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "client/optimizers/create_optimizer.h"
#include "examples/parameters_digest.h"

namespace tally {
namespace {

constexpr uint32_t kMaxBatch = 65'536;
constexpr uint32_t kMaxArrivalJitterMs = 60'000;

absl::Status FlagError(absl::string_view flag, const std::string& value, const std::string& rule) {
  return absl::InvalidArgumentError(absl::StrCat("`--", flag, "` = ", value, ", ", rule));
}

absl::Status CheckNotEmpty(absl::string_view flag, const std::string& value) {
  return value.empty() ? FlagError(flag, "\"\"", "must not be empty") : absl::OkStatus();
}

absl::Status CheckPositive(absl::string_view flag, uint64_t value) {
  return value == 0 ? FlagError(flag, "0", "must be positive") : absl::OkStatus();
}

absl::Status CheckPositive(absl::string_view flag, double value) {
  if (std::isfinite(value) && value > 0) return absl::OkStatus();
  return FlagError(flag, absl::StrCat(value), "must be positive and finite");
}

absl::Status CheckTimeout(absl::string_view flag, absl::Duration value) {
  if (value > absl::ZeroDuration()) return absl::OkStatus();
  return FlagError(flag, absl::FormatDuration(value), "must be positive");
}

}  // namespace

absl::Status ValidateTrainerOptions(const TrainerOptions& options) {
  TALLY_RETURN_IF_ERROR(CheckNotEmpty("job", options.job));
  TALLY_RETURN_IF_ERROR(CheckNotEmpty("worker", options.worker));
  TALLY_RETURN_IF_ERROR(CheckNotEmpty("text", options.text));
  TALLY_RETURN_IF_ERROR(CheckPositive("workers", uint64_t{options.workers}));
  TALLY_RETURN_IF_ERROR(CheckPositive("rounds", options.rounds));
  TALLY_RETURN_IF_ERROR(CheckPositive("metrics_every", options.metrics_every));
  if (options.max_workers != 0 && options.max_workers < options.workers) {
    return FlagError("max_workers", absl::StrCat(options.max_workers),
                     absl::StrCat("must be 0 or at least --workers = ", options.workers));
  }
  if (options.rank >= options.workers) {
    return FlagError("rank", absl::StrCat(options.rank),
                     absl::StrCat("must be less than --workers (", options.workers, ")"));
  }
  if (!absl::c_linear_search(OptimizerNames(), options.optimizer)) {
    return FlagError("optimizer", absl::StrCat("\"", options.optimizer, "\""),
                     absl::StrCat("must be one of ", absl::StrJoin(OptimizerNames(), ", ")));
  }
  TALLY_RETURN_IF_ERROR(CheckPositive("learning_rate", options.learning_rate));
  TALLY_RETURN_IF_ERROR(
      CheckPositive("final_learning_rate_share", options.final_learning_rate_share));
  if (options.final_learning_rate_share > 1) {
    return FlagError("final_learning_rate_share", absl::StrCat(options.final_learning_rate_share),
                     "must be at most 1");
  }
  TALLY_RETURN_IF_ERROR(CheckPositive("epsilon", options.epsilon));
  TALLY_RETURN_IF_ERROR(CheckPositive("sketch_share", options.sketch_share));
  TALLY_RETURN_IF_ERROR(CheckPositive("sketch_columns_share", options.sketch_columns_share));
  if (options.batch == 0 || options.batch > kMaxBatch) {
    return FlagError("batch", absl::StrCat(options.batch),
                     absl::StrCat("must be from 1 to ", kMaxBatch));
  }
  if (options.checkpoints.empty() && (options.checkpoint_every > 0 || options.resume_after > 0)) {
    return FlagError("checkpoints", "\"\"",
                     "must be a directory with --checkpoint_every or --resume_after");
  }
  if (options.resume_after >= options.rounds) {
    return FlagError("resume_after", absl::StrCat(options.resume_after),
                     absl::StrCat("must be less than --rounds = ", options.rounds));
  }
  if (options.arrival_jitter_ms > kMaxArrivalJitterMs) {
    return FlagError("arrival_jitter_ms", absl::StrCat(options.arrival_jitter_ms),
                     absl::StrCat("must be at most ", kMaxArrivalJitterMs));
  }
  TALLY_RETURN_IF_ERROR(CheckTimeout("late_ceiling", options.late_ceiling));
  TALLY_RETURN_IF_ERROR(CheckTimeout("start_timeout", options.start_timeout));
  return CheckTimeout("aggregator_timeout", options.aggregator_timeout);
}

absl::StatusOr<std::vector<AggregatorAddress>> ParseAggregators(absl::string_view text) {
  std::vector<AggregatorAddress> aggregators;
  for (const absl::string_view entry : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(entry, absl::MaxSplits('=', 1));
    if (parts.first.empty() || parts.second.empty()) {
      return FlagError("aggregators", absl::StrCat("\"", text, "\""),
                       absl::StrCat("must be name=host:port, one or more, separated by commas; \"",
                                    entry, "\" is not"));
    }
    aggregators.push_back({std::string(parts.first), std::string(parts.second)});
  }
  return aggregators;
}

OptimizerOptions MakeOptimizerOptions(const TrainerOptions& options, const Layout& layout) {
  OptimizerOptions method = options.method;
  method.adam.learning_rate = static_cast<float>(options.learning_rate);
  method.adam.epsilon = static_cast<float>(options.epsilon);
  // A trainer whose gradients are no numbers should say so, not go on without them.
  method.adam.non_finite = NonFinitePolicy::kStop;
  const auto share_of = [&](double share) {
    const double count = std::ceil(share * static_cast<double>(layout.num_compressed()));
    return static_cast<uint32_t>(std::clamp(count, 1.0, static_cast<double>(UINT32_MAX)));
  };
  method.sketch.num_updated = share_of(options.sketch_share);
  method.sketch.columns = share_of(options.sketch_columns_share);
  return method;
}

absl::StatusOr<ClientOptions> MakeClientOptions(const TrainerOptions& options, Model& model) {
  ClientOptions client;
  client.job = options.job;
  client.worker = options.worker;
  client.aggregators = options.aggregators;
  client.layout = model.layout();
  if (Sketches(options.optimizer)) {
    const Layout& layout = model.layout();
    const SketchOptions sketch = MakeOptimizerOptions(options, layout).sketch;
    const DealingOptions dealing = {NumSketchGroups(sketch.columns, layout.num_compressed()),
                                    options.seed};
    TALLY_ASSIGN_OR_RETURN(client.layout,
                           Layout::Create({layout.tensors().begin(), layout.tensors().end()},
                                          layout.chunk_elements(), dealing));
  }
  client.expected_workers = options.workers;
  client.roster_limit = options.max_workers;
  client.max_late = options.max_late;
  client.late_ceiling = options.late_ceiling;
  client.run = options.run;
  client.seed = options.seed;
  client.initial_state_digest = ParametersDigest(model.parameters());
  client.elastic = true;
  client.faults = options.faults;
  client.start_timeout = options.start_timeout;
  client.aggregator_timeout = options.aggregator_timeout;
  return client;
}

}  // namespace tally
