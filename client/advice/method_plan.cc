#include "client/advice/method_plan.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/optimizers/cd_adam.h"
#include "client/optimizers/sketch_options.h"
#include "client/optimizers/sketched_amsgrad.h"
#include "client/optimizers/sparse_feedback.h"
#include "client/optimizers/zeroone_schedule.h"
#include "kernels/dtype.h"

namespace tally {
namespace {

// Of cd_adam with top-k, as the table at the end has the others.
constexpr double kTopkCdAdamNanoseconds = 15;

std::string DTypeSetting(DType dtype) { return absl::AsciiStrToLower(DTypeName(dtype)); }

std::string WarmupSetting(uint64_t warmup_rounds, const OptimizerOptions& options) {
  return absl::StrCat("warm-up ", warmup_rounds, options.dtype == DType::kFloat32 ? "" : " in ",
                      options.dtype == DType::kFloat32 ? "" : DTypeSetting(options.dtype));
}

std::string ScaleSetting(const ScaleGranularity& granularity) {
  switch (granularity.unit) {
    case ScaleGranularity::Unit::kBlock:
      return absl::StrCat("blocks of ", granularity.block_elements);
    case ScaleGranularity::Unit::kTensor:
      return "a scale per tensor";
    case ScaleGranularity::Unit::kModel:
      break;
  }
  return "one scale";
}

std::string SketchSetting(const SketchOptions& sketch) {
  return absl::StrCat("k ", sketch.num_updated, ", ", sketch.rows, " x ", sketch.columns,
                      sketch.exact_values ? "" : ", estimates");
}

// Dense for `warmup_rounds`, compressed from there on.
std::vector<PlannedPhase> WarmThenCompressed(uint64_t warmup_rounds, uint64_t rounds) {
  const uint64_t warm = std::min(warmup_rounds, rounds);
  return {{.rounds = warm}, {.rounds = rounds - warm, .compressed = true}};
}

MethodPlan PlanDense(const OptimizerOptions& options, uint64_t rounds) {
  return {DTypeSetting(options.dtype), {{.rounds = rounds}}};
}

// Compressed from the first round on.
MethodPlan PlanCompressed(std::string settings, uint64_t rounds) {
  return {std::move(settings), {{.rounds = rounds, .compressed = true}}};
}

MethodPlan PlanOneBit(const OptimizerOptions& options, uint64_t rounds) {
  const uint64_t warmup = options.warmup_rounds.value_or(
      static_cast<uint64_t>(std::ceil(kAssumedWarmupShare * static_cast<double>(rounds))));
  return {absl::StrCat(ScaleSetting(options.granularity), ", ", WarmupSetting(warmup, options)),
          WarmThenCompressed(warmup, rounds)};
}

std::vector<Exchange> OneBitExchanges(const OptimizerOptions& options, const Layout& /*layout*/,
                                      uint32_t /*chunk*/) {
  return {
      Exchange{SignExchange{.scale_rule = options.scale_rule.value_or(ScaleRule::kRootMeanSquare),
                            .granularity = options.granularity}}};
}

// Plays the schedule.
MethodPlan PlanZeroOne(const OptimizerOptions& options, uint64_t rounds) {
  ZeroOneScheduleOptions schedule_options = options.schedule;
  schedule_options.variance_steps = options.warmup_rounds.value_or(schedule_options.variance_steps);
  ZeroOneSchedule schedule(schedule_options);
  uint64_t refreshes = 0;
  uint64_t signs = 0;
  uint64_t exchanges = 0;
  uint64_t steps_alone = 0;
  for (uint64_t round = 0; round < rounds; ++round, schedule.Advance()) {
    switch (schedule.Next()) {
      case ZeroOneSchedule::Action::kRefresh:
        ++refreshes;
        break;
      case ZeroOneSchedule::Action::kSigns:
        ++signs;
        break;
      case ZeroOneSchedule::Action::kExchange:
        ++exchanges;
        break;
      case ZeroOneSchedule::Action::kLocal:
        ++steps_alone;
        break;
    }
  }
  const uint64_t frozen = exchanges + steps_alone;
  MethodPlan plan = {absl::StrCat(ScaleSetting(options.granularity), ", freeze at ",
                                  schedule_options.variance_steps),
                     {{.rounds = refreshes}, {.rounds = signs, .compressed = true}}};
  if (frozen > 0) {
    plan.phases.push_back(
        {.rounds = frozen,
         .compressed = true,
         .exchanges_per_round = static_cast<double>(exchanges) / static_cast<double>(frozen)});
  }
  return plan;
}

MethodPlan PlanBirder(const OptimizerOptions& options, uint64_t rounds) {
  return PlanCompressed(options.vote_counts ? "votes, counts down" : "votes", rounds);
}

std::vector<Exchange> BirderExchanges(const OptimizerOptions& options, const Layout& /*layout*/,
                                      uint32_t /*chunk*/) {
  return {Exchange{VoteExchange{options.vote_counts ? VoteResult::kCounts : VoteResult::kDrawn}}};
}

MethodPlan PlanSignSgd(const OptimizerOptions& /*options*/, uint64_t rounds) {
  return PlanCompressed("votes", rounds);
}

std::vector<Exchange> SignSgdExchanges(const OptimizerOptions& /*options*/,
                                       const Layout& /*layout*/, uint32_t /*chunk*/) {
  return {Exchange{VoteExchange{VoteResult::kMajority}}};
}

std::string TopkSetting(const OptimizerOptions& options) {
  return absl::StrCat("top-k, share ", options.share);
}

MethodPlan PlanTopkSgd(const OptimizerOptions& options, uint64_t rounds) {
  return PlanCompressed(TopkSetting(options), rounds);
}

std::vector<Exchange> TopkExchanges(const OptimizerOptions& options, const Layout& layout,
                                    uint32_t chunk) {
  return {Exchange{SparseExchangeOf(layout.chunks()[chunk], options.share)}};
}

MethodPlan PlanCdAdam(const OptimizerOptions& options, uint64_t rounds) {
  const uint64_t warmup = options.warmup_rounds.value_or(CdAdamOptions().warmup_rounds);
  const bool topk = options.compressor == CdAdamCompressor::kTopk;
  std::string settings =
      topk ? TopkSetting(options) : absl::StrCat("blocks of ", options.block_elements);
  if (warmup > 0) absl::StrAppend(&settings, ", ", WarmupSetting(warmup, options));
  return {.settings = std::move(settings),
          .phases = WarmThenCompressed(warmup, rounds),
          .compressed_nanoseconds = topk ? kTopkCdAdamNanoseconds : 0};
}

std::vector<Exchange> CdAdamExchanges(const OptimizerOptions& options, const Layout& layout,
                                      uint32_t chunk) {
  if (options.compressor == CdAdamCompressor::kTopk) return TopkExchanges(options, layout, chunk);
  return {Exchange{SignExchange{.scale_rule = ScaleRule::kMeanMagnitude,
                                .granularity = {.unit = ScaleGranularity::Unit::kBlock,
                                                .block_elements = options.block_elements}},
                   Divisor::kRoster}};
}

MethodPlan PlanSketchedSgd(const OptimizerOptions& options, uint64_t rounds) {
  return PlanCompressed(SketchSetting(options.sketch), rounds);
}

MethodPlan PlanSketchedAmsgrad(const OptimizerOptions& options, uint64_t rounds) {
  const uint64_t warmup = options.warmup_rounds.value_or(SketchedAmsgradOptions().warmup_rounds);
  return {absl::StrCat(SketchSetting(options.sketch), ", ", WarmupSetting(warmup, options)),
          WarmThenCompressed(warmup, rounds)};
}

std::vector<Exchange> SketchExchanges(const OptimizerOptions& options, const Layout& layout,
                                      uint32_t chunk) {
  const SketchOptions& sketch = options.sketch;
  const GroupSketch group = SketchOfGroup(sketch, layout, chunk);
  const Exchange first = {SketchExchange{.rows = sketch.rows,
                                         .columns = group.columns,
                                         .dtype = sketch.table_dtype,
                                         .num_candidates = group.num_candidates,
                                         .with_estimates = !sketch.exact_values}};
  if (!sketch.exact_values) return {first};
  return {first, Exchange{ValuesExchange{.num_values = group.num_candidates,
                                         .dtype = sketch.values_dtype}}};
}

// Nanoseconds are rates measured by bench/method_rates_benchmark (docs/benchmarks.md, What the
// adviser reckons with).
struct Method {
  absl::string_view name;
  MethodPlan (*plan)(const OptimizerOptions&, uint64_t rounds);
  // Null: dense.
  std::vector<Exchange> (*exchanges)(const OptimizerOptions&, const Layout&, uint32_t) = nullptr;
  double compressed_nanoseconds = 0;
  double dense_nanoseconds = 2.3;
};

constexpr Method kMethods[] = {
    {.name = "dense_adam", .plan = PlanDense},
    {.name = "dense_amsgrad", .plan = PlanDense},
    {.name = "dense_lamb", .plan = PlanDense, .dense_nanoseconds = 5},
    {.name = "dense_sgd", .plan = PlanDense},
    {.name = "onebit_adam",
     .plan = PlanOneBit,
     .exchanges = OneBitExchanges,
     .compressed_nanoseconds = 3.4},
    {.name = "onebit_lamb",
     .plan = PlanOneBit,
     .exchanges = OneBitExchanges,
     .compressed_nanoseconds = 11,
     .dense_nanoseconds = 5},
    {.name = "zeroone_adam",
     .plan = PlanZeroOne,
     .exchanges = OneBitExchanges,
     .compressed_nanoseconds = 6.6},
    {.name = "birder",
     .plan = PlanBirder,
     .exchanges = BirderExchanges,
     .compressed_nanoseconds = 4.8},
    {.name = "cd_adam",
     .plan = PlanCdAdam,
     .exchanges = CdAdamExchanges,
     .compressed_nanoseconds = 7.3},
    {.name = "sketched_amsgrad",
     .plan = PlanSketchedAmsgrad,
     .exchanges = SketchExchanges,
     .compressed_nanoseconds = 17},
    {.name = "sketched_sgd",
     .plan = PlanSketchedSgd,
     .exchanges = SketchExchanges,
     .compressed_nanoseconds = 14},
    {.name = "sign_sgd",
     .plan = PlanSignSgd,
     .exchanges = SignSgdExchanges,
     .compressed_nanoseconds = 2},
    {.name = "topk_sgd",
     .plan = PlanTopkSgd,
     .exchanges = TopkExchanges,
     .compressed_nanoseconds = 4.8},
};

const Method* FindMethod(absl::string_view name) {
  const auto* method =
      std::find_if(std::begin(kMethods), std::end(kMethods),
                   [name](const Method& candidate) { return candidate.name == name; });
  return method == std::end(kMethods) ? nullptr : method;
}

}  // namespace

absl::StatusOr<MethodPlan> PlanOf(absl::string_view method, const OptimizerOptions& options,
                                  uint64_t rounds) {
  const Method* found = FindMethod(method);
  if (found == nullptr) {
    return absl::UnimplementedError(
        absl::StrCat("`method` = \"", method, "\", must be one that the adviser knows"));
  }
  MethodPlan plan = found->plan(options, rounds);
  plan.dense_nanoseconds = found->dense_nanoseconds;
  if (plan.compressed_nanoseconds == 0) {
    plan.compressed_nanoseconds = found->compressed_nanoseconds;
  }
  return plan;
}

std::vector<Exchange> CompressedExchanges(absl::string_view method, const OptimizerOptions& options,
                                          const Layout& layout, uint32_t chunk) {
  return FindMethod(method)->exchanges(options, layout, chunk);
}

}  // namespace tally
