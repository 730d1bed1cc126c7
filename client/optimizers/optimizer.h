// What all methods look like to a trainer.
#ifndef TALLY_CLIENT_OPTIMIZERS_OPTIMIZER_H_
#define TALLY_CLIENT_OPTIMIZERS_OPTIMIZER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "client/optimizers/round_quality.h"
#include "client/state_scope.h"

namespace tally {

// What to do with a chunk whose input is not finite: a gradient that is NaN, infinite or beyond
// 2^64 after conversion to the exchange's number format.
enum class NonFinitePolicy : uint8_t {
  kAbstain,  // take no part in this round of the chunk; the others go on, the input is dropped and
             // counted
  kStop,     // Step returns OUT_OF_RANGE before the chunk is sent; chunks already sent stand
};

struct OptimizerStatistics {
  uint64_t steps = 0;
  // Chunks that abstained.
  uint64_t abstained_chunks = 0;
  // True once the method has left its uncompressed warm-up (always, for methods without one; never
  // for dense_adam).
  bool compressing = false;
  // Whether the parameters are bit-identical on all workers now. False only between two exchanges
  // of a method that takes steps without one.
  bool common_parameters = true;
  // Norm (2) of this worker's residual after the last compressed step; 0 for methods without one.
  // Asking costs a pass over the residual.
  double residual_norm = 0;
  // Norm (2) of what this worker's residual held when the method itself gave it up (0/1 Adam, once,
  // when it freezes the variance); 0 before.
  double reset_residual_norm = 0;
};

// A data-parallel optimizer: one Step is one update of the model, and one exchange with all workers
// unless the method says that some of its steps open no round. Its replicated state (moments, step
// number, the parameters themselves) is bit-identical on all workers after every step that
// exchanged; in a step without an exchange parameters and momentum part, each worker's on its own
// way, until the next exchange brings them to one point again (common_parameters). Which steps
// exchange is itself replicated. The residual is this worker's own. Not thread-safe.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // Its one-word name: "dense_adam", "onebit_adam".
  virtual absl::string_view name() const = 0;

  // Exchanges `gradients` and updates `parameters` in place; both [layout.num_elements()] in the
  // order of the flat vector (codecs/layout.h), finite parameters, not overlapping. Blocks until
  // the round is over, if the step has one. No matter how long a worker computes or steps without
  // a round, the exchange's heartbeats go on: nobody takes it for silent.
  // Returns INVALID_ARGUMENT if a size is wrong; then nothing has happened. Returns OUT_OF_RANGE if
  // a gradient is not finite under kStop; else the exchange's error: then chunks may stand at
  // different rounds, the parameters are not to be used, and every further Step returns that error.
  virtual absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) = 0;

  // Sets the learning rate of the steps from the next one on: for warm-ups and decays. Replicated
  // state like any other: all workers set the same one before the same step. It is not part of
  // SaveState.
  // Returns INVALID_ARGUMENT if it is not positive and finite.
  virtual absl::Status SetLearningRate(float learning_rate) = 0;

  virtual OptimizerStatistics statistics() const = 0;

  // What compression did to the last step (client/optimizers/round_quality.h). Unset if the step
  // exchanged nothing lossily (as methods without compression never do, and warm-ups), did not
  // succeed, or was not one of those that `quality_interval` lets measure. Asking costs a pass over
  // the residual.
  virtual absl::optional<RoundQuality> quality() const { return absl::nullopt; }

  // Plays a step without putting anything in: what the others exchange moves `parameters`
  // [layout.num_elements()] and the replicated state, and nothing else changes. For a worker that
  // has come into the run later and catches up (Exchanger::takes_part). It is cheaper than a Step:
  // no gradients, nothing to encode.
  // Errors as Step.
  virtual absl::Status Follow(absl::Span<float> parameters) = 0;

  // This worker's residual [layout.num_elements()], in the order of the flat vector: what it has
  // put in and not got across, which a worker that goes hands over (Client::Leave). Empty for
  // methods without one. What missed a dense exchange is not part of it. Not during a Step.
  virtual std::vector<float> Residual() const { return {}; }

  // What of a contribution of signs is a copy of state that all share, as the momentum in it is:
  // turns `mean` into that, which is the result before, decoded, from element `offset` of the flat
  // vector on. False, and nothing changes, if contributions hold no copies; `mean` may be empty.
  // Returns INTERNAL if a device fails.
  virtual absl::StatusOr<bool> TurnIntoSharedPart(uint64_t /*offset*/,
                                                  absl::Span<float> /*mean*/) const {
    return false;
  }

  // What a worker that left has handed over joins this one's residual: elements [offset, offset +
  // x.size()) of the flat vector. Not during a Step.
  // Returns FAILED_PRECONDITION if the method has no residual now.
  virtual absl::Status Inherit(uint64_t /*offset*/, absl::Span<const float> /*x*/) {
    return NoResidualError();
  }

  // The whole state, residual included, for a checkpoint next to the parameters. Not during a Step.
  // Between exchanges both are this worker's own: parameters that others are to load must be saved
  // while they are common. Empty once a Step has failed.
  std::string SaveState() const { return Save(StateScope::kWhole); }

  // What a newcomer starts from (Client::GiveState): the state without this worker's residual,
  // which is smaller by as much. Local momenta are part of it: another worker's are a better start
  // than zero. Only while parameters are common.
  std::string SaveSharedState() const { return Save(StateScope::kShared); }

  virtual std::string Save(StateScope scope) const = 0;

  // Takes a state that SaveState gave, for the same method, options and layout: the next Step
  // continues bit-identically. Of one that SaveSharedState gave the residual starts at zero.
  // Returns INVALID_ARGUMENT if it belongs to another method or layout, or to options under which
  // the state has other parts; DATA_LOSS if it is damaged. On error nothing has changed.
  virtual absl::Status LoadState(absl::string_view state) = 0;

 protected:
  absl::Status NoResidualError() const {
    return absl::FailedPreconditionError(absl::StrCat(name(), " has no residual now"));
  }
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_OPTIMIZER_H_
