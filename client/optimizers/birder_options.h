// Settings of Birder.
#ifndef TALLY_CLIENT_OPTIMIZERS_BIRDER_OPTIONS_H_
#define TALLY_CLIENT_OPTIMIZERS_BIRDER_OPTIONS_H_

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "client/optimizers/method_parts.h"
#include "client/optimizers/sgd_options.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"

namespace tally {

struct BirderOptions {
  float learning_rate = 3e-4f;  // positive; every parameter moves by it in every step
  float beta = 0.95f;           // [0, 1); of both moments
  // Of b alone, [0, 1). Unset: beta, as in the paper. A longer memory than that of m keeps an
  // element whose gradient comes in bursts from going on at full speed until the next one.
  absl::optional<float> magnitude_beta = absl::nullopt;
  float weight_decay = 0.0f;  // not negative; decoupled
  // The numbers of votes come down instead of a bit drawn from them: log2(n + 1) bits, rounded up,
  // per parameter, and far less noise.
  bool vote_counts = false;
  MethodOptions method = {};
};

// Returns INVALID_ARGUMENT, naming the field, if an option is out of its range, or if the layout
// deals its elements out.
absl::Status ValidateBirderOptions(const BirderOptions& options, const Layout& layout);

// The exchange of compressed chunks.
Exchange VoteExchangeOf(const BirderOptions& options);

// Of the step along what was voted.
SgdOptions StepOptionsOf(const BirderOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_BIRDER_OPTIONS_H_
