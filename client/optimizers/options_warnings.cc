#include "client/optimizers/options_warnings.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/optimizers/sketch_options.h"
#include "client/optimizers/sparse_feedback.h"
#include "codecs/sparse_codec.h"

namespace tally {
namespace {

// A frozen variance that is the mean of fewer squares says little of any of them.
constexpr uint64_t kFewWarmupRounds = 10;
// Usual rates of methods that move every element by the rate are a tenth of this and less.
constexpr float kLargeSignRate = 0.01f;

bool IsOneOf(absl::string_view name, std::initializer_list<absl::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool Compresses(absl::string_view name) {
  const std::vector<absl::string_view> names = OptimizerNames();
  return std::find(names.begin(), names.end(), name) != names.end() &&
         !absl::StartsWith(name, "dense_");
}

void AddWarmup(const OptimizerOptions& options, std::vector<std::string>& warnings) {
  if (options.warmup_rounds.has_value() && *options.warmup_rounds < kFewWarmupRounds) {
    warnings.push_back(absl::StrCat("`warmup_rounds` = ", *options.warmup_rounds,
                                    ": the variance that is frozen for the rest of the run is that "
                                    "of so few gradients"));
  }
  if (!options.warmup_rounds.has_value() && options.freeze_threshold >= 1.0f) {
    warnings.push_back(
        "`freeze_threshold` = 1: norms of the variance are never equal to the last bit, so the "
        "warm-up will not end");
  }
}

void AddSparse(const OptimizerOptions& options, const Layout& layout, uint64_t workers,
               std::vector<std::string>& warnings) {
  uint64_t up = 0;
  uint64_t down = 0;
  for (const Layout::Chunk& chunk : layout.chunks()) {
    if (chunk.dense) break;
    const uint32_t sent = SparseExchangeOf(chunk, options.share).max_values;
    const auto received = static_cast<uint32_t>(
        std::min<uint64_t>(std::max<uint64_t>(workers, 1) * sent, chunk.num_elements));
    up += MaxSparsePayloadBytes(chunk.num_elements, sent, /*with_values=*/true);
    down += MaxSparsePayloadBytes(chunk.num_elements, received, /*with_values=*/true);
  }
  const uint64_t dense = layout.num_compressed() * ElementBytes(options.dtype);
  if (up + down < 2 * dense) return;
  const auto bits = [&](uint64_t bytes) {
    return 8.0 * static_cast<double>(bytes) / static_cast<double>(layout.num_compressed());
  };
  warnings.push_back(
      absl::StrFormat("`share` = %g: up to %.1f bits an element up and %.1f down, where a dense "
                      "exchange costs %.0f "
                      "each way and loses nothing",
                      options.share, bits(up), bits(down), bits(dense)));
}

}  // namespace

std::vector<std::string> OptionsWarnings(absl::string_view name, const OptimizerOptions& options,
                                         const Layout& layout, uint64_t workers) {
  std::vector<std::string> warnings;
  if (!Compresses(name)) return warnings;
  if (workers == 1) {
    warnings.push_back(
        "1 worker: there is nobody to exchange with, compression only costs accuracy");
  }
  if (layout.num_compressed() == 0) {
    warnings.push_back(
        absl::StrCat("`layout` marks every tensor dense: ", name, " has nothing to compress"));
    return warnings;
  }
  if (IsOneOf(name, {"onebit_adam", "onebit_lamb"})) AddWarmup(options, warnings);
  if (IsOneOf(name, {"sign_sgd", "birder"}) && options.adam.learning_rate > kLargeSignRate) {
    warnings.push_back(absl::StrCat("`learning_rate` = ", options.adam.learning_rate,
                                    ": every element moves so far in every step, however small its "
                                    "gradient; usual are 1e-4 to 1e-3"));
  }
  if (name == "sign_sgd" && workers == 2) {
    warnings.push_back(
        "2 workers: where they disagree a coin decides, so their majority is right as often as one "
        "of them alone");
  }
  if (name == "topk_sgd" || (name == "cd_adam" && options.compressor == CdAdamCompressor::kTopk)) {
    AddSparse(options, layout, workers, warnings);
  }
  if (Sketches(name)) {
    const std::string warning = SketchWarning(options.sketch, layout);
    if (!warning.empty()) warnings.push_back(warning);
  }
  return warnings;
}

}  // namespace tally
