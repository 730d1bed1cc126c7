#include "client/optimizers/create_optimizer.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/optimizers/birder.h"
#include "client/optimizers/dense_adam.h"
#include "client/optimizers/dense_lamb.h"
#include "client/optimizers/dense_sgd.h"
#include "client/optimizers/method_parts.h"
#include "client/optimizers/onebit_adam.h"
#include "client/optimizers/onebit_lamb.h"
#include "client/optimizers/sgd_options.h"
#include "client/optimizers/sign_sgd.h"
#include "client/optimizers/sketched_amsgrad.h"
#include "client/optimizers/sketched_sgd.h"
#include "client/optimizers/topk_sgd.h"
#include "client/optimizers/zeroone_adam.h"

namespace tally {
namespace {

using Creator = absl::StatusOr<std::unique_ptr<Optimizer>> (*)(Exchanger*, const OptimizerOptions&);

absl::StatusOr<std::unique_ptr<Optimizer>> NewDenseAdam(Exchanger* exchanger,
                                                        const OptimizerOptions& options) {
  return CreateDenseAdam(exchanger, {.adam = options.adam, .dtype = options.dtype});
}

absl::StatusOr<std::unique_ptr<Optimizer>> NewDenseAmsgrad(Exchanger* exchanger,
                                                           const OptimizerOptions& options) {
  return CreateDenseAdam(exchanger,
                         {.adam = options.adam, .amsgrad = true, .dtype = options.dtype});
}

OneBitAdamOptions OneBitOptionsOf(const OptimizerOptions& options) {
  return {.adam = options.adam,
          .warmup_rounds = options.warmup_rounds,
          .freeze_threshold = options.freeze_threshold,
          .freeze_interval = options.freeze_interval,
          .min_warmup_rounds = options.min_warmup_rounds,
          .scale_rule = options.scale_rule.value_or(OneBitAdamOptions().scale_rule),
          .granularity = options.granularity,
          .dense_dtype = options.dtype};
}

absl::StatusOr<std::unique_ptr<Optimizer>> NewOneBitAdam(Exchanger* exchanger,
                                                         const OptimizerOptions& options) {
  return CreateOneBitAdam(exchanger, OneBitOptionsOf(options));
}

absl::StatusOr<std::unique_ptr<Optimizer>> NewOneBitLamb(Exchanger* exchanger,
                                                         const OptimizerOptions& options) {
  return CreateOneBitLamb(exchanger,
                          {.onebit = OneBitOptionsOf(options), .rates = options.layer_rates});
}

absl::StatusOr<std::unique_ptr<Optimizer>> NewDenseLamb(Exchanger* exchanger,
                                                        const OptimizerOptions& options) {
  return CreateDenseLamb(
      exchanger, {.adam = options.adam, .rates = options.layer_rates, .dtype = options.dtype});
}

absl::StatusOr<std::unique_ptr<Optimizer>> NewZeroOneAdam(Exchanger* exchanger,
                                                          const OptimizerOptions& options) {
  ZeroOneScheduleOptions schedule = options.schedule;
  schedule.variance_steps = options.warmup_rounds.value_or(schedule.variance_steps);
  return CreateZeroOneAdam(
      exchanger, {.adam = options.adam,
                  .schedule = schedule,
                  .scale_rule = options.scale_rule.value_or(ZeroOneAdamOptions().scale_rule),
                  .granularity = options.granularity,
                  .dense_dtype = options.dtype});
}

MethodOptions MethodOptionsOf(const OptimizerOptions& options) {
  return {.dense_dtype = options.dtype,
          .non_finite = options.adam.non_finite,
          .quality_interval = options.adam.quality_interval,
          .backend = options.adam.backend};
}

SgdOptions SgdOptionsOf(const OptimizerOptions& options) {
  return {.learning_rate = options.adam.learning_rate,
          .momentum = options.momentum,
          .weight_decay = options.adam.weight_decay,
          .method = MethodOptionsOf(options)};
}

absl::StatusOr<std::unique_ptr<Optimizer>> NewDenseSgd(Exchanger* exchanger,
                                                       const OptimizerOptions& options) {
  return CreateDenseSgd(exchanger, SgdOptionsOf(options));
}

absl::StatusOr<std::unique_ptr<Optimizer>> NewBirder(Exchanger* exchanger,
                                                     const OptimizerOptions& options) {
  return CreateBirder(exchanger, {.learning_rate = options.adam.learning_rate,
                                  .beta = options.momentum,
                                  .magnitude_beta = options.magnitude_beta,
                                  .weight_decay = options.adam.weight_decay,
                                  .vote_counts = options.vote_counts,
                                  .method = MethodOptionsOf(options)});
}

absl::StatusOr<std::unique_ptr<Optimizer>> NewSignSgd(Exchanger* exchanger,
                                                      const OptimizerOptions& options) {
  return CreateSignSgd(exchanger, SgdOptionsOf(options));
}

absl::StatusOr<std::unique_ptr<Optimizer>> NewTopkSgd(Exchanger* exchanger,
                                                      const OptimizerOptions& options) {
  return CreateTopkSgd(exchanger, {.sgd = SgdOptionsOf(options), .share = options.share});
}

absl::StatusOr<std::unique_ptr<Optimizer>> NewCdAdam(Exchanger* exchanger,
                                                     const OptimizerOptions& options) {
  return CreateCdAdam(exchanger,
                      {.adam = options.adam,
                       .compressor = options.compressor,
                       .tracking = options.tracking,
                       .warmup_rounds = options.warmup_rounds.value_or(0),
                       .block_elements = options.block_elements,
                       .scale_rule = options.scale_rule.value_or(CdAdamOptions().scale_rule),
                       .share = options.share,
                       .dense_dtype = options.dtype});
}

absl::StatusOr<std::unique_ptr<Optimizer>> NewSketchedSgd(Exchanger* exchanger,
                                                          const OptimizerOptions& options) {
  return CreateSketchedSgd(exchanger, {.sgd = SgdOptionsOf(options), .sketch = options.sketch});
}

absl::StatusOr<std::unique_ptr<Optimizer>> NewSketchedAmsgrad(Exchanger* exchanger,
                                                              const OptimizerOptions& options) {
  return CreateSketchedAmsgrad(
      exchanger,
      {.adam = options.adam,
       .sketch = options.sketch,
       .warmup_rounds = options.warmup_rounds.value_or(SketchedAmsgradOptions().warmup_rounds),
       .dense_dtype = options.dtype});
}

struct Method {
  absl::string_view name;
  Creator create;
  bool sketches = false;
};

constexpr Method kMethods[] = {
    {.name = "dense_adam", .create = NewDenseAdam},
    {.name = "dense_amsgrad", .create = NewDenseAmsgrad},
    {.name = "dense_lamb", .create = NewDenseLamb},
    {.name = "dense_sgd", .create = NewDenseSgd},
    {.name = "onebit_adam", .create = NewOneBitAdam},
    {.name = "onebit_lamb", .create = NewOneBitLamb},
    {.name = "zeroone_adam", .create = NewZeroOneAdam},
    {.name = "birder", .create = NewBirder},
    {.name = "cd_adam", .create = NewCdAdam},
    {.name = "sketched_amsgrad", .create = NewSketchedAmsgrad, .sketches = true},
    {.name = "sketched_sgd", .create = NewSketchedSgd, .sketches = true},
    {.name = "sign_sgd", .create = NewSignSgd},
    {.name = "topk_sgd", .create = NewTopkSgd},
};

}  // namespace

std::vector<absl::string_view> OptimizerNames() {
  std::vector<absl::string_view> names;
  for (const Method& method : kMethods) names.push_back(method.name);
  return names;
}

bool Sketches(absl::string_view name) {
  for (const Method& method : kMethods) {
    if (method.name == name) return method.sketches;
  }
  return false;
}

absl::StatusOr<std::unique_ptr<Optimizer>> CreateOptimizer(absl::string_view name,
                                                           Exchanger* exchanger,
                                                           const OptimizerOptions& options) {
  for (const Method& method : kMethods) {
    if (method.name == name) return method.create(exchanger, options);
  }
  return absl::InvalidArgumentError(absl::StrCat("`name` = \"", name, "\", must be one of ",
                                                 absl::StrJoin(OptimizerNames(), ", ")));
}

}  // namespace tally
