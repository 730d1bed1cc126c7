// The residual of a sign exchange in saved states.
#ifndef TALLY_CLIENT_OPTIMIZERS_SAVED_FEEDBACK_H_
#define TALLY_CLIENT_OPTIMIZERS_SAVED_FEEDBACK_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/optimizers/segment_map.h"
#include "client/saved_state.h"
#include "codecs/layout.h"

namespace tally {

// What ErrorFeedback and its twin on a device keep from round to round.
struct SavedFeedback {
  absl::Span<const float> sum;  // [num_compressed]
  // By compressed chunk: the contribution that a result has counted and that is still in the sum
  // (codecs/sign_codec.h); empty: none.
  std::vector<absl::Span<const uint8_t>> counted;

  // Writes nothing into a state for other workers.
  void Save(SavedStateWriter& writer) const;
};

// The sum is copied to `sum` [num_compressed], contributions refer to the bytes of `saved`. Of a
// state for other workers: zeros, and none counted.
// Returns INVALID_ARGUMENT if the saved one has other sizes or holds no legal contribution.
absl::StatusOr<SavedFeedback> LoadFeedback(const SavedState& saved, const Layout& layout,
                                           const SegmentMap& segments, absl::Span<float> sum);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SAVED_FEEDBACK_H_
