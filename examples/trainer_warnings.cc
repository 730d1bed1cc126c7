#include "examples/trainer_warnings.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/optimizers/create_optimizer.h"
#include "client/optimizers/options_warnings.h"

namespace tally {
namespace {

// Rounds before onebit_adam's automatic rule can have compared two norms of the variance.
uint64_t EarliestFreeze(const OptimizerOptions& method) {
  const double memory = 1.0 / (1.0 - static_cast<double>(method.adam.beta2));
  const uint64_t interval =
      method.freeze_interval > 0 ? method.freeze_interval : static_cast<uint64_t>(memory + 0.5);
  const uint64_t first_ask =
      std::max((method.min_warmup_rounds + interval - 1) / interval, uint64_t{1}) * interval;
  return first_ask + interval;
}

}  // namespace

std::vector<std::string> TrainerWarnings(const TrainerOptions& options, const Layout& layout) {
  const OptimizerOptions method = MakeOptimizerOptions(options, layout);
  std::vector<std::string> warnings =
      OptionsWarnings(options.optimizer, method, layout, options.workers);
  if (absl::StartsWith(options.optimizer, "dense_")) return warnings;
  if (method.warmup_rounds.has_value() && *method.warmup_rounds >= options.rounds) {
    warnings.push_back(absl::StrCat("`--warmup_rounds` = ", *method.warmup_rounds,
                                    " is all of --rounds (", options.rounds,
                                    "): no round will be compressed"));
  }
  const bool freezes = options.optimizer == "onebit_adam" || options.optimizer == "onebit_lamb";
  if (freezes && !method.warmup_rounds.has_value() && EarliestFreeze(method) >= options.rounds) {
    warnings.push_back(
        absl::StrCat("`--warmup_rounds` is unset: the automatic rule ends the "
                     "warm-up after ",
                     EarliestFreeze(method), " rounds at the earliest, --rounds is ",
                     options.rounds, ": no round will be compressed"));
  }
  const uint64_t turns = options.rounds * method.sketch.num_updated;
  if (Sketches(options.optimizer) && turns < layout.num_compressed()) {
    warnings.push_back(absl::StrCat("`--sketch_share` = ", options.sketch_share, ": ", turns,
                                    " updates in ", options.rounds, " rounds are fewer than the ",
                                    layout.num_compressed(), " elements: some will never move"));
  }
  return warnings;
}

}  // namespace tally
