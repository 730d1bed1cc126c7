// What a tracking method compresses the changes of: a worker's gradient or its momentum, in units
// that make all elements alike.
#ifndef TALLY_CLIENT_OPTIMIZERS_TRACKED_INPUT_H_
#define TALLY_CLIENT_OPTIMIZERS_TRACKED_INPUT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/saved_state.h"
#include "kernels/backend.h"

namespace tally {

enum class Tracking : uint8_t {
  kGradient,
  // The moving average of the gradient, which changes 1 / (1 - beta1) times less from one round to
  // the next: so much smaller is what compression gets wrong.
  kMomentum,
};

// Over the compressed part of a layout. An element's unit is 1 until SetUnits; a sign exchange
// gives elements that share a scale steps of one size, so they should share a unit of their own
// too. Offsets are those of the flat vector. Not thread-safe.
class TrackedInput {
 public:
  // `backend` must outlive this.
  TrackedInput(Tracking tracking, float beta1, uint64_t num_compressed, const Backend* backend);

  Tracking tracking() const { return tracking_; }

  // Takes the round's gradient of elements [offset, offset + gradient.size()) in. Once per element
  // and round.
  absl::Status Advance(uint64_t offset, absl::Span<const float> gradient);

  // out = the input of these elements in their units; `gradient` as in the last Advance.
  void Write(uint64_t offset, absl::Span<const float> gradient, absl::Span<float> out) const;

  // out = what `tracked`, of elements from `offset` on, is without units.
  void WithoutUnits(uint64_t offset, absl::Span<const float> tracked, absl::Span<float> out) const;

  // From now on an element's unit is its `root` [num_compressed], the root of a second moment: not
  // negative, replicated; but at least a sixteenth of the mean over its block of `block_elements`,
  // as one that hardly ever moved would drown the others in its scale, and from 2^-60 to 2^60, so
  // that no input overflows. `momentum`
  // [num_compressed] is everybody's, with which each worker's own goes on.
  void SetUnits(absl::Span<const float> root, absl::Span<const float> momentum,
                size_t block_elements);

  void Save(SavedStateWriter& writer) const;
  // `has_units`: the state is one after SetUnits.
  // Returns INVALID_ARGUMENT if the saved one has other sizes or parts; then nothing has changed.
  absl::Status Load(const SavedState& saved, bool has_units);

 private:
  Tracking tracking_;
  float beta1_;
  uint64_t num_compressed_;
  const Backend* backend_;
  std::vector<float> momentum_;  // [num_compressed]; empty if the gradient is tracked
  std::vector<float> units_;     // [num_compressed]; empty before SetUnits
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_TRACKED_INPUT_H_
