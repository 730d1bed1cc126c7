// The worker's side of sketch rounds: what is left over, and how the largest of it gets across.
#ifndef TALLY_CLIENT_OPTIMIZERS_SKETCH_FEEDBACK_H_
#define TALLY_CLIENT_OPTIMIZERS_SKETCH_FEEDBACK_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "client/exchanger.h"
#include "client/optimizers/quality_meter.h"
#include "client/optimizers/round_driver.h"
#include "client/optimizers/sketch_options.h"
#include "client/optimizers/sketch_round.h"
#include "codecs/layout.h"
#include "kernels/backend.h"

namespace tally {

// Error feedback over the dealt part of a layout: it keeps the sum a of all that was put in and not
// taken out. A round, for every group:
//
//   Encode   puts in, sketches weight * a                             up: the table
//   Answer   the elements of a that the first half chose              up: their values
//   Take     the mean of these values comes down
//
// and then, over all groups, ChooseUpdate, which is the same on all workers. What this worker sent
// of the chosen elements leaves a, in the groups whose result counted it (SketchRound). Not
// thread-safe; the caller has set the float environment.
class SketchFeedback {
 public:
  // Puts the round's input for elements [offset, offset + sum.size()) of the flat vector, at most
  // 64, into their sum.
  using PutIn = absl::FunctionRef<absl::Status(uint64_t offset, absl::Span<float> sum)>;
  // Writes the weights, positive and replicated, of elements [offset, offset + out.size()).
  using Weights = absl::FunctionRef<void(uint64_t offset, absl::Span<float> out)>;

  using Chosen = SketchRound::Chosen;

  // `layout` and `backend` must outlive this; options are valid for the layout.
  SketchFeedback(const Layout* layout, const SketchOptions& options, uint64_t run_seed,
                 const Backend* backend);

  // Before the first Encode of a round. `meter`, whose step is open, gets weight * a against the
  // update; it outlives the round. Null: nobody measures.
  void StartRound(uint64_t round, QualityMeter* meter);

  // The contribution to a group's first half.
  absl::StatusOr<ChunkContribution> Encode(uint32_t group, PutIn put_in, Weights weights);
  // The same for a group whose input is not finite.
  ChunkContribution Abstain(uint32_t group) { return {round_.FirstHalf(group), absl::nullopt}; }
  // The contribution to its second half.
  absl::StatusOr<ChunkContribution> Answer(const ChunkResult& result, Fate fate);
  // Its last result.
  absl::Status Take(const ChunkResult& result, Fate fate);

  // After the last Take of a round, once. Increasing indices.
  absl::StatusOr<std::vector<Chosen>> ChooseUpdate(Weights weights);

  // a [num_compressed]
  absl::Span<const float> sum() const { return sum_; }
  double Norm() const;
  // The sum in the order of the flat vector [num_elements]: zero on the dense part.
  std::vector<float> Residual() const;
  // a += x on elements [offset, offset + x.size()) of the flat vector; between rounds.
  absl::Status Add(uint64_t offset, absl::Span<const float> x);

  // `sum` [num_compressed], as sum() gave it.
  void Restore(std::vector<float> sum) { sum_ = std::move(sum); }

 private:
  absl::Status SumAt(uint32_t group, absl::Span<const uint32_t> elements,
                     absl::Span<float> out) const;
  absl::Status TakeOut(uint32_t group, absl::Span<const uint32_t> elements,
                       absl::Span<const float> values);
  // Takes an element of the update to its group's measurement.
  void Measure(const Chosen& chosen, Weights weights);

  const Layout& layout_;
  const Backend& backend_;
  SketchRound round_;
  QualityMeter* meter_ = nullptr;  // of the present round; null: it is not measured
  std::vector<float> sum_;
  // By group; set if this worker takes part and the round is measured.
  std::vector<absl::optional<SketchedGroup>> measured_;
  std::vector<float> dealt_;   // of one group: weight * a
  std::vector<float> weight_;  // of one block
  std::vector<float> table_;   // of one group
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_SKETCH_FEEDBACK_H_
