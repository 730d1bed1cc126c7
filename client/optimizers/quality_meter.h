// Measures a round as it is played.
#ifndef TALLY_CLIENT_OPTIMIZERS_QUALITY_METER_H_
#define TALLY_CLIENT_OPTIMIZERS_QUALITY_METER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "client/optimizers/round_quality.h"
#include "kernels/backend.h"

namespace tally {

// What an update's scale is worth.
enum class UpdateScale : uint8_t {
  kGiven,  // it is that of the input
  kFree,   // none: the update is scaled by the factor, not negative, that brings it closest
};

// What is summed up over elements of an input x and its update y.
struct ComparisonSums {
  uint64_t num_elements = 0;
  double input_squares = 0;   // ||x||^2
  double product = 0;         // x.y
  double update_squares = 0;  // ||y||^2
};

// What a group of a sketch round adds to its measurement; K is its part of the update.
struct SketchedGroup {
  ComparisonSums sums;
  uint32_t columns = 0;
  double chosen_squares = 0;  // ||x on K||^2
  uint64_t num_candidates = 0;
  uint64_t num_chosen = 0;
  double smallest_chosen = 0;  // of |y| on K; not looked at if K is empty
};

// Collects RoundQuality of every n-th step. Optimizers feed it chunk by chunk, in any order; sums
// are taken chunk by chunk in the order of their numbers, so a report depends on nothing else. It
// only reads. Not thread-safe.
//
//   BeginStep  { Add | AddSketched } ...  EndStep  Report
class QualityMeter {
 public:
  // Measures the first step that is fed, and every next one that comes at least `interval` steps
  // after the last; none if it is 0. `backend` must outlive the meter.
  QualityMeter(uint64_t interval, size_t num_chunks, const Backend* backend);

  // Opens step `step`, counted from 1, and forgets the one before.
  void BeginStep(uint64_t step);

  // Whether the open step is to be measured: nobody need prepare what Add would not look at.
  bool measures() const { return is_open_; }

  // Takes elements of a chunk: those of a chunk come in the same order every time. Both spans have
  // the same size. Does nothing unless the step is measured.
  void Add(uint32_t chunk, absl::Span<const float> input, absl::Span<const float> update);
  void AddSketched(uint32_t chunk, const SketchedGroup& group);

  // The step has succeeded: only then is there a report.
  void EndStep();

  // What was measured belongs to another state, and so do the steps' numbers.
  void Forget();

  // Of the last step; unset if it was not measured, has not succeeded, or no element of it was fed.
  // `residual_norm` is asked only if it is set.
  absl::optional<RoundQuality> Report(absl::FunctionRef<double()> residual_norm,
                                      UpdateScale scale = UpdateScale::kGiven) const;

 private:
  struct Chunk {
    bool is_sketched = false;
    SketchedGroup group;  // the sums alone, unless it is sketched
  };

  void Clear();

  const uint64_t interval_;
  const Backend& backend_;
  uint64_t step_ = 0;
  uint64_t next_step_ = 0;  // the first that is to be measured
  bool is_open_ = false;
  bool is_fed_ = false;
  bool is_over_ = false;
  std::vector<Chunk> chunks_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_QUALITY_METER_H_
