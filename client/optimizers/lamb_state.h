// LAMB's moments, and the step of each tensor at its own rate.
#ifndef TALLY_CLIENT_OPTIMIZERS_LAMB_STATE_H_
#define TALLY_CLIENT_OPTIMIZERS_LAMB_STATE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/optimizers/adam_options.h"
#include "client/optimizers/adam_state.h"
#include "client/optimizers/layer_map.h"
#include "client/optimizers/layer_rate.h"
#include "client/saved_state.h"
#include "codecs/layout.h"
#include "kernels/backend.h"

namespace tally {

// Replicated state: equal on all workers. A tensor's step needs its norms, and so all of its
// chunks: a round moves the moments, chunk by chunk as results arrive, and the parameters follow
// when it is over.
//
//   BeginStep()
//   for each chunk of which something was exchanged, in any order:  ChunkMoved
//   for each layer that HasMoved:                                   StepLayer
//
// A tensor of which a chunk was exchanged by nobody keeps its parameters for that round. Norms are
// added up in fp64 piece by piece over unmasked elements (LayerMap), each piece by
// Backend::SumOfSquares: they do not depend on chunks. Masked elements are not stepped. Not
// thread-safe.
class LambState {
 public:
  // `layout` and `backend` must outlive the state.
  LambState(const AdamOptions& options, const LayerRateOptions& rates, const Layout* layout,
            const Backend* backend);

  AdamState& moments() { return moments_; }
  const AdamState& moments() const { return moments_; }
  absl::Span<const LayerMap::Layer> layers() const { return map_.layers(); }
  const LayerMap& map() const { return map_; }
  LayerRate& rate(size_t layer) { return rates_[layer]; }

  void set_learning_rate(float learning_rate) {
    options_.learning_rate = learning_rate;
    moments_.set_learning_rate(learning_rate);
  }

  void BeginStep();
  // The chunk's moments have their values for this step.
  void ChunkMoved(uint32_t chunk) { moved_[chunk] = 1; }
  bool HasMoved(size_t layer) const;

  // LAMB's step; `parameters` is the flat vector.
  absl::Status StepLayer(size_t layer, absl::Span<float> parameters);
  // A step on all unmasked elements with that coefficient and correction of the second moment.
  absl::Status StepLayer(size_t layer, double coefficient, float second_correction,
                         absl::Span<float> parameters);

  // Sums of squares over the layer: of the update's part without decay, of the whole update, and of
  // the parameters.
  struct Squares {
    double direction = 0.0;
    double update = 0.0;
    double weights = 0.0;
  };
  absl::StatusOr<Squares> SquaresOf(size_t layer, float second_correction,
                                    absl::Span<const float> parameters);

  void Save(SavedStateWriter& writer) const;
  // On error the state is not to be used.
  // Returns INVALID_ARGUMENT if the saved one has other sizes.
  absl::Status Load(const SavedState& saved);

 private:
  AdamOptions options_;
  const Backend* backend_;
  LayerMap map_;
  AdamState moments_;
  std::vector<LayerRate> rates_;  // by layer
  std::vector<uint8_t> moved_;    // by chunk: 1 if it has moved in this step
  std::vector<float> update_;     // of one piece
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_LAMB_STATE_H_
