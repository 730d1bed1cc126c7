// The residual of sketch rounds in saved states.
#ifndef TALLY_CLIENT_OPTIMIZERS_SKETCHED_SUM_H_
#define TALLY_CLIENT_OPTIMIZERS_SKETCHED_SUM_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/saved_state.h"
#include "codecs/layout.h"

namespace tally {

// `sum` [num_compressed], in the order of the flat vector. Writes nothing into a state for other
// workers.
void SaveSketchedSum(absl::Span<const float> sum, SavedStateWriter& writer);

// Of a state for other workers: zeros.
// Returns INVALID_ARGUMENT if the saved one has another size.
absl::StatusOr<std::vector<float>> LoadSketchedSum(const SavedState& saved, const Layout& layout);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SKETCHED_SUM_H_
