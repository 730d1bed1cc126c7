// What each method exchanges in the course of a run, for the adviser.
#ifndef TALLY_CLIENT_ADVICE_METHOD_PLAN_H_
#define TALLY_CLIENT_ADVICE_METHOD_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/optimizers/create_optimizer.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"

namespace tally {

// Rounds that are alike, wherever in the run they lie.
struct PlannedPhase {
  uint64_t rounds = 0;
  // False: the compressed tensors, too, are exchanged dense.
  bool compressed = false;
  // Exchanges per round; below 1 where workers step on their own in between.
  double exchanges_per_round = 1;
};

struct MethodPlan {
  // The settings that decide about bytes, for people: "share 0.01".
  std::string settings;
  // At least one. The last one is what the run ends with.
  std::vector<PlannedPhase> phases;
  // What a parameter costs one thread of a worker per round: encoding, decoding and the step.
  double dense_nanoseconds = 0;       // in phases that are not compressed
  double compressed_nanoseconds = 0;  // in those that are

  bool compresses() const { return phases.back().compressed; }
};

// A run of `rounds` rounds, at least 1; schedules are played step by step. Unset warm-ups of
// methods that would decide by themselves are taken as kAssumedWarmupShare of the run. Returns
// UNIMPLEMENTED if the adviser does not know the method.
absl::StatusOr<MethodPlan> PlanOf(absl::string_view method, const OptimizerOptions& options,
                                  uint64_t rounds);

// What docs/algorithms.md advises, 15 to 25 %.
inline constexpr double kAssumedWarmupShare = 0.2;

// What a chunk of the compressed part exchanges in one round of a compressed phase: one exchange,
// or the two halves of a sketch round, whose seeds and digests are left at 0. The method is one
// that PlanOf knows and that compresses; if it sketches, the layout is dealt out.
std::vector<Exchange> CompressedExchanges(absl::string_view method, const OptimizerOptions& options,
                                          const Layout& layout, uint32_t chunk);

}  // namespace tally

#endif  // TALLY_CLIENT_ADVICE_METHOD_PLAN_H_
