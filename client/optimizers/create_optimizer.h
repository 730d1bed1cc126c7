// Optimizers by name: the one word by which a trainer chooses its method.
#ifndef TALLY_CLIENT_OPTIMIZERS_CREATE_OPTIMIZER_H_
#define TALLY_CLIENT_OPTIMIZERS_CREATE_OPTIMIZER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "client/exchanger.h"
#include "client/optimizers/adam_options.h"
#include "client/optimizers/cd_adam.h"
#include "client/optimizers/layer_rate.h"
#include "client/optimizers/onebit_options.h"
#include "client/optimizers/optimizer.h"
#include "client/optimizers/sketch_options.h"
#include "client/optimizers/zeroone_schedule.h"
#include "codecs/layout.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace tally {

// The settings of all methods; each takes those that it has. What they mean stand with the methods'
// own options.
struct OptimizerOptions {
  AdamOptions adam = {};
  // dense_sgd, sign_sgd, topk_sgd, sketched_sgd; birder takes it as its beta.
  float momentum = 0.9f;
  // Number format of dense exchanges.
  DType dtype = DType::kFloat32;

  // onebit_adam, onebit_lamb, cd_adam and sketched_amsgrad; the automatic rule is the former two's
  // alone. For zeroone_adam it takes the place of schedule.variance_steps.
  absl::optional<uint64_t> warmup_rounds = absl::nullopt;

  // onebit_adam, onebit_lamb; zeroone_adam takes the last two.
  float freeze_threshold = OneBitAdamOptions().freeze_threshold;
  uint64_t freeze_interval = 0;
  uint64_t min_warmup_rounds = 0;
  // cd_adam has one too. Unset: as the method's own options say.
  absl::optional<ScaleRule> scale_rule = absl::nullopt;
  ScaleGranularity granularity = {};

  // dense_lamb, onebit_lamb
  LayerRateOptions layer_rates = {};

  // zeroone_adam
  ZeroOneScheduleOptions schedule = {};

  // birder
  absl::optional<float> magnitude_beta = absl::nullopt;
  bool vote_counts = false;

  // cd_adam; topk_sgd takes the share too.
  CdAdamCompressor compressor = CdAdamCompressor::kSign;
  Tracking tracking = Tracking::kGradient;
  uint32_t block_elements = CdAdamOptions().block_elements;
  double share = 0.01;

  // sketched_sgd, sketched_amsgrad
  SketchOptions sketch = {};
};

// The names of all methods.
std::vector<absl::string_view> OptimizerNames();

// Whether the method with that name sketches, and so must have a layout that is dealt out to
// groups.
bool Sketches(absl::string_view name);

// Creates the method with that name. `exchanger` must outlive the optimizer.
// Returns INVALID_ARGUMENT if there is none (the message lists those that exist), or as the
// method's own Create function.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateOptimizer(absl::string_view name,
                                                           Exchanger* exchanger,
                                                           const OptimizerOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_CREATE_OPTIMIZER_H_
