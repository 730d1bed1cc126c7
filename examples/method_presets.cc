#include "examples/method_presets.h"

namespace tally {
namespace {

constexpr MethodPreset kPresets[] = {
    {.method = "dense_adam", .twin = "dense_adam"},
    {.method = "dense_amsgrad", .twin = "dense_amsgrad"},
    {.method = "dense_lamb", .twin = "dense_lamb", .learning_rate = 5e-3},
    {.method = "dense_sgd", .twin = "dense_sgd", .learning_rate = 0.3},
    {.method = "onebit_adam", .twin = "dense_adam", .warmup_share = 0.2, .allowed_gap = 0.03},
    {.method = "onebit_lamb", .twin = "dense_lamb", .learning_rate = 5e-3, .warmup_share = 0.2},
    {.method = "zeroone_adam", .twin = "dense_adam", .warmup_share = 0.2},
    {.method = "birder",
     .twin = "dense_adam",
     // What is drawn at random averages out over many small steps, not few large ones.
     .learning_rate = 3e-3,
     .final_learning_rate_share = 0.01,
     .momentum = 0.9,
     .magnitude_beta = 0.999},
    // Tracking follows slowly, and what waits for its turn in a sketch waits long: both are
    // momentum too, so less of it is needed.
    {.method = "cd_adam",
     .twin = "dense_amsgrad",
     .learning_rate = 2e-3,
     .beta1 = 0.8,
     .warmup_share = 0.05},
    {.method = "sketched_amsgrad",
     .twin = "dense_amsgrad",
     .learning_rate = 1e-3,
     .beta1 = 0.5,
     .warmup_share = 0.1,
     .sketch_share = 0.2,
     .sketch_columns_share = 0.15,
     .sketch_candidates = 1},
    {.method = "sketched_sgd", .twin = "dense_sgd", .learning_rate = 0.3},
    {.method = "sign_sgd", .twin = "dense_sgd", .learning_rate = 1e-3, .momentum = 0.95},
    {.method = "topk_sgd", .twin = "dense_sgd", .learning_rate = 0.1},
};

}  // namespace

MethodPreset PresetOf(absl::string_view method) {
  for (const MethodPreset& preset : kPresets) {
    if (preset.method == method) return preset;
  }
  return {.method = method, .twin = "dense_adam"};
}

MethodPreset WithSmallSketch(MethodPreset preset) {
  preset.learning_rate *= 2;
  preset.beta1 = 0.1;
  preset.sketch_share = 0.005;
  preset.sketch_columns_share = 0.045;
  preset.sketch_candidates = 4;
  return preset;
}

}  // namespace tally
