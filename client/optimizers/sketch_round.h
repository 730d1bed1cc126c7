// What a sketch round finds out, wherever the worker's elements lie.
#ifndef TALLY_CLIENT_OPTIMIZERS_SKETCH_ROUND_H_
#define TALLY_CLIENT_OPTIMIZERS_SKETCH_ROUND_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/exchanger.h"
#include "client/optimizers/round_driver.h"
#include "client/optimizers/sketch_options.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace tally {

// The candidates of every group of a dealt layout, what this worker sent of them and what came
// back, and which of them are the update:
//
//   FirstHalf        what the table is exchanged as
//   Answer           the elements that the first half chose          up: their values
//   Take             the mean of these values comes down
//   ChooseUpdate     over all groups, once per round
//
// Elements themselves are elsewhere (SketchFeedback, DeviceSketchFeedback), and read and written at
// the candidates alone. Hashes are drawn anew for every round, so that no two elements collide for
// ever. Not thread-safe; the caller has set the float environment.
class SketchRound {
 public:
  // Writes a vector's elements `elements` of a group to `out`, of the same size.
  using Read = absl::FunctionRef<absl::Status(uint32_t group, absl::Span<const uint32_t> elements,
                                              absl::Span<float> out)>;
  // Takes `values` out of the sum at these elements of a group.
  using TakeOut = absl::FunctionRef<absl::Status(
      uint32_t group, absl::Span<const uint32_t> elements, absl::Span<const float> values)>;

  // An element of the update.
  struct Chosen {
    uint64_t index = 0;    // in the flat vector
    float value = 0;       // mean of a over the participants
    bool counted = false;  // this worker's share of it is to leave a
    uint32_t group = 0;
    uint32_t element = 0;  // of the group
    float weighted = 0;    // weight * value
    float sent = 0;        // this worker's share
  };

  // `layout` and `backend`, the host's, must outlive this; options are valid for the layout.
  SketchRound(const Layout* layout, const SketchOptions& options, uint64_t run_seed,
              const Backend* backend);

  // Before the first exchange of a round.
  void Start(uint64_t round);

  Exchange FirstHalf(uint32_t group) const;
  // Of the group's table in this round.
  SketchShape ShapeOf(uint32_t group) const;
  DType table_dtype() const { return options_.table_dtype; }

  // The contribution to a group's second half; `read` gives the sum.
  absl::StatusOr<ChunkContribution> Answer(const ChunkResult& result, Fate fate, Read read);
  // Its last result. `take_out` is called if this worker was evicted and counts: which elements
  // were chosen it cannot know.
  absl::Status Take(const ChunkResult& result, Fate fate, TakeOut take_out);

  // After the last Take of a round, once: the `num_updated` elements with the largest
  // |weight * mean|, of equal ones the first in the flat vector. Increasing indices. The same on
  // all workers, but for `counted` and `sent`. `weights` and `sums` give those.
  absl::StatusOr<std::vector<Chosen>> ChooseUpdate(Read weights, Read sums) const;

  uint32_t num_groups() const { return static_cast<uint32_t>(groups_.size()); }
  // Candidates whose means came; 0 if nobody took part.
  size_t num_means(uint32_t group) const { return groups_[group].means.size(); }

 private:
  // What is known of a group in the present round.
  struct Group {
    std::vector<uint32_t> candidates;  // elements of the group
    std::vector<float> sent;           // [candidates] what this worker contributed
    std::vector<float> means;          // [candidates] empty before the last result
    bool counted = false;
  };

  const Layout& layout_;
  const SketchOptions options_;
  const uint64_t run_seed_;
  const Backend& backend_;
  uint64_t round_ = 0;
  std::vector<Group> groups_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SKETCH_ROUND_H_
