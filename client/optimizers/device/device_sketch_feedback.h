// The worker's side of sketch rounds on a device.
#ifndef TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_SKETCH_FEEDBACK_H_
#define TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_SKETCH_FEEDBACK_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/exchanger.h"
#include "client/optimizers/device/dealt_elements.h"
#include "client/optimizers/device/device_array.h"
#include "client/optimizers/round_driver.h"
#include "client/optimizers/sketch_options.h"
#include "client/optimizers/sketch_round.h"
#include "client/saved_state.h"
#include "codecs/layout.h"
#include "kernels/backend.h"
#include "kernels/device/lane.h"

namespace tally {

// SketchFeedback without its meter, with the same bits: workers with and without a device play the
// same rounds, and go on from each other's saved states. What crosses the bus is the tables, the
// candidates and their values.
//
// Spans of elements lie in the memory of the lane's device; methods that give something back, and
// Take, wait for the lane. They return RESOURCE_EXHAUSTED if memory does not suffice, UNAVAILABLE
// if the device has failed: if one that changes the residual does, it is not to be used. Not
// thread-safe; the caller has set the float environment.
class DeviceSketchFeedback {
 public:
  using Chosen = SketchRound::Chosen;

  // What the elements of a grouped vector are weighed by (DeviceWeighArgs).
  struct Weights {
    absl::Span<const float> second_moment;  // [num_compressed] grouped; more are not read
    float second_correction = 1;
    float epsilon = 0;
  };

  // `elements` are the layout's, which must outlive this, as must `backend`, the host's, and
  // `lane`; options are valid for the layout. The sum starts at zero.
  static absl::StatusOr<std::unique_ptr<DeviceSketchFeedback>> Create(
      const Layout* layout, const SketchOptions& options, uint64_t run_seed, const Backend* backend,
      const DealtElements* elements, Lane* lane);

  // Before the first Encode of a round.
  absl::Status StartRound(uint64_t round);

  // The contribution to a group's first half: adds factor * x [elements of the group] to the sum,
  // and sketches it.
  absl::StatusOr<ChunkContribution> Encode(uint32_t group, float factor, absl::Span<const float> x,
                                           const Weights& weights);
  // As SketchFeedback's.
  ChunkContribution Abstain(uint32_t group) { return {round_.FirstHalf(group), absl::nullopt}; }
  absl::StatusOr<ChunkContribution> Answer(const ChunkResult& result, Fate fate);
  absl::Status Take(const ChunkResult& result, Fate fate);
  absl::StatusOr<std::vector<Chosen>> ChooseUpdate(const Weights& weights);

  // Norm (2) of the sum; its last digits are not SketchFeedback's.
  absl::StatusOr<double> Norm();
  // In the order of the flat vector [num_elements], in the host's memory: zero on the dense part.
  absl::StatusOr<std::vector<float>> Residual();
  // The sum += x, of the host, on elements [offset, offset + x.size()) of the flat vector; between
  // rounds. Many such calls cost two copies of the sum over the bus, one at the first of them and
  // one when it is needed again. Returns INVALID_ARGUMENT, besides, if they are not all compressed.
  absl::Status Add(uint64_t offset, absl::Span<const float> x);

  absl::Status Save(SavedStateWriter& writer);
  // Takes what LoadSketchedSum has read.
  absl::Status Restore(absl::Span<const float> sum);

 private:
  DeviceSketchFeedback(const Layout* layout, const SketchOptions& options, uint64_t run_seed,
                       const Backend* backend, const DealtElements* elements, Lane* lane);
  absl::Status Allocate();
  // [num_compressed] of the host, in the order of the flat vector.
  absl::StatusOr<std::vector<float>> FetchSum();
  // The device has the sum again.
  absl::Status Flush();
  absl::Status SumAt(uint32_t group, absl::Span<const uint32_t> elements, absl::Span<float> out);
  absl::Status TakeOut(uint32_t group, absl::Span<const uint32_t> elements,
                       absl::Span<const float> values);

  const Layout& layout_;
  const Backend& backend_;
  const DealtElements& elements_;
  Lane& lane_;
  SketchRound round_;
  DeviceArray<float> sum_;  // [num_compressed] grouped
  // The same on the host, in the order of the flat vector, while what was added to it is not on the
  // device yet; else empty.
  std::vector<float> added_to_;
  DeviceArray<float> dealt_;  // of one group: weight * a
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DEVICE_DEVICE_SKETCH_FEEDBACK_H_
