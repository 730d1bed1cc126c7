#include "client/optimizers/create_optimizer.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/optimizers/dense_adam.h"

namespace tally {
namespace {

using Creator = absl::StatusOr<std::unique_ptr<Optimizer>> (*)(Exchanger*, const OptimizerOptions&);

absl::StatusOr<std::unique_ptr<Optimizer>> NewDenseAdam(Exchanger* exchanger,
                                                        const OptimizerOptions& options) {
  return CreateDenseAdam(
      exchanger, {.adam = options.adam, .amsgrad = options.amsgrad, .dtype = options.dtype});
}

absl::StatusOr<std::unique_ptr<Optimizer>> NewOneBitAdam(Exchanger* exchanger,
                                                         const OptimizerOptions& options) {
  if (options.amsgrad) {
    return absl::InvalidArgumentError("`amsgrad` = true, must be false for onebit_adam");
  }
  return CreateOneBitAdam(exchanger, {.adam = options.adam,
                                      .warmup_rounds = options.warmup_rounds,
                                      .freeze_threshold = options.freeze_threshold,
                                      .freeze_interval = options.freeze_interval,
                                      .min_warmup_rounds = options.min_warmup_rounds,
                                      .scale_rule = options.scale_rule,
                                      .granularity = options.granularity,
                                      .dense_dtype = options.dtype});
}

struct Method {
  absl::string_view name;
  Creator create;
};

constexpr Method kMethods[] = {
    {"dense_adam", NewDenseAdam},
    {"onebit_adam", NewOneBitAdam},
};

}  // namespace

std::vector<absl::string_view> OptimizerNames() {
  std::vector<absl::string_view> names;
  for (const Method& method : kMethods) names.push_back(method.name);
  return names;
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
