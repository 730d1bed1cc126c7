// A model's parameters and its optimizer's state in one: what a checkpoint holds, and what a
// newcomer starts from.
#ifndef TALLY_CLIENT_OPTIMIZERS_TRAINING_STATE_H_
#define TALLY_CLIENT_OPTIMIZERS_TRAINING_STATE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/optimizers/optimizer.h"
#include "client/state_scope.h"
#include "codecs/layout.h"

namespace tally {

// Between two steps, and with kShared only while parameters are common
// (OptimizerStatistics::common_parameters); `parameters` [layout.num_elements()]. Empty once a step
// has failed.
std::string SaveTrainingState(const Optimizer& optimizer, const Layout& layout,
                              absl::Span<const float> parameters, StateScope scope);

// Takes a state of the same method, options and layout, whose step is OptimizerStatistics::steps
// afterwards.
// Returns INVALID_ARGUMENT if it belongs to others; DATA_LOSS if it is damaged. On error nothing
// has changed.
absl::Status LoadTrainingState(absl::string_view state, const Layout& layout,
                               absl::Span<float> parameters, Optimizer* optimizer);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_TRAINING_STATE_H_
