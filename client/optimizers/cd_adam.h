// CD-Adam: AMSGrad on a gradient that everybody tracks through compressed differences.
#ifndef TALLY_CLIENT_OPTIMIZERS_CD_ADAM_H_
#define TALLY_CLIENT_OPTIMIZERS_CD_ADAM_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/adam_options.h"
#include "client/optimizers/optimizer.h"
#include "client/optimizers/tracked_input.h"
#include "codecs/layout.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace tally {

enum class CdAdamCompressor : uint8_t { kSign, kTopk };

struct CdAdamOptions {
  AdamOptions adam = {.beta2 = 0.99f};
  CdAdamCompressor compressor = CdAdamCompressor::kSign;
  // The paper tracks the gradient.
  Tracking tracking = Tracking::kGradient;
  // Rounds of dense AMSGrad at the start, of which the paper has none. With them, elements are
  // tracked in units of the root of their second moment as of the last one.
  uint64_t warmup_rounds = 0;
  // kSign: elements that share a scale, by the least-squares rule ||x||_1 / d. A multiple of 256
  // that divides the layout's chunk_elements.
  uint32_t block_elements = 1024;
  // The paper's. Root mean squares are larger the heavier the tails: what is tracked then follows
  // an element's bursts faster, at the price of noise in the others, of which momenta have little.
  ScaleRule scale_rule = ScaleRule::kMeanMagnitude;
  // kTopk: of each chunk's elements, the share that every worker sends: (0, 1].
  double share = 0.01;
  // Number format of dense tensors.
  DType dense_dtype = DType::kFloat32;
};

// CD-Adam (Wang, Lin, Chen, AISTATS 2022, Algorithm 1), after the warm-up:
//
//   worker      y = g / unit; c = C(y - tracked); tracked += c once counted            up: c
//   aggregator  a = mean over the roster of c, plus its residual e; s = C(a); e = a - s    down: s
//   worker      shared += s; AMSGrad's step with shared * unit as the gradient
//
// or, with Tracking::kMomentum, y = m / unit, where m = beta1 m + (1 - beta1) g is this worker's
// own, and shared * unit is the step's first moment. `tracked` is this worker's own, `shared` is
// everybody's; the mean of the tracked inputs is shared + e. With kTopk the aggregator compresses
// nothing and keeps no residual. Tensors that the layout marks dense take AMSGrad's step with their
// mean gradient. `exchanger` must outlive the optimizer. Returns INVALID_ARGUMENT, naming the
// field, if an option is out of its range, or if the layout deals its elements out.
absl::StatusOr<std::unique_ptr<Optimizer>> CreateCdAdam(Exchanger* exchanger,
                                                        const CdAdamOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_CD_ADAM_H_
