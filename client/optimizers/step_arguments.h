// What every optimizer does with the arguments of Step and with its exchanges.
#ifndef TALLY_CLIENT_OPTIMIZERS_STEP_ARGUMENTS_H_
#define TALLY_CLIENT_OPTIMIZERS_STEP_ARGUMENTS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"

namespace tally {

// Returns INVALID_ARGUMENT if one has not layout.num_elements() elements.
absl::Status CheckStepArguments(const Layout& layout, absl::Span<const float> parameters,
                                absl::Span<const float> gradients);

// Returns INVALID_ARGUMENT if it is not positive and finite.
absl::Status CheckLearningRate(float learning_rate);

// Returns INVALID_ARGUMENT, naming the field, if the aggregators would refuse this exchange of the
// layout's first chunk, or if elements are dealt out to groups for an exchange that knows none.
absl::Status CheckExchange(const Exchange& exchange, const Layout& layout);
// The same for the exchange of the layout's compressed chunks, if it has any.
// Returns INVALID_ARGUMENT too if `scale_rule` is no enumerator.
absl::Status CheckSignExchange(const Exchange& exchange, const Layout& layout);

// The chunk's range of a flat vector [layout.num_elements()].
template <typename T>
absl::Span<T> ChunkOf(absl::Span<T> flat, const Layout& layout, uint32_t chunk) {
  return flat.subspan(layout.chunks()[chunk].offset, layout.chunks()[chunk].num_elements);
}

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_STEP_ARGUMENTS_H_
