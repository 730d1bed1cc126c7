// The adviser: what a round of every method costs over given links, and whether compression pays,
// before a run is started.
//
// round_cost.h has the formula. Left out are stragglers, shared links, loss and congestion, the
// trainer's own use of its cores, and whether a method reaches the same loss in as many rounds.
#ifndef TALLY_CLIENT_ADVICE_ADVICE_H_
#define TALLY_CLIENT_ADVICE_ADVICE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/advice/advice_options.h"
#include "client/advice/round_cost.h"

namespace tally {

enum class AdviceVerdict : uint8_t {
  kUncompressed,  // a yardstick
  kFaster,        // than every uncompressed method of Tally, by kWorthwhileGain at least
  kNoGain,        // within kWorthwhileGain of the fastest of them
  kSlower,
  kUnsuitable,  // `warning` says why
};

// Less is within the model's error.
inline constexpr double kWorthwhileGain = 1.1;

struct AdviceRow {
  std::string method;
  std::string settings;
  // What the run ends with: of a method with an uncompressed warm-up, the compressed phase.
  RoundCost cost;
  // Over the whole run.
  double mean_up_bytes = 0;
  double mean_down_bytes = 0;
  absl::Duration mean_round;
  // Mean round of the fastest uncompressed method, and of the fastest ring, over this mean.
  double gain = 0;
  double ring_gain = 0;
  AdviceVerdict verdict = AdviceVerdict::kUncompressed;
  // Why the settings are hopeless (OptionsWarnings), or what refuses them; empty: neither.
  std::string warning;
};

enum class Recommendation : uint8_t {
  kDoNotCompress,
  kCompressUnlessRing,  // compression beats Tally's dense methods, a ring beats it
  kCompress,
};

struct Advice {
  AdviceOptions options;  // with what was unset filled in
  // Every method of OptimizerNames(), in that order, each followed by variants: dense_adam in 16
  // bits, birder with counts, cd_adam with top-k.
  std::vector<AdviceRow> rows;
  std::vector<RingCost> rings;  // in 32 and in 16 bits
  Recommendation recommendation = Recommendation::kDoNotCompress;
  size_t fastest = 0;        // of the compressing rows that suit; of all, if none does
  size_t fastest_dense = 0;  // of the rows that do not compress
  size_t fastest_ring = 0;
};

// Reckons; takes milliseconds, a third of a second for 10^10 parameters, two for 2^40.
// Returns INVALID_ARGUMENT, naming the field, if one is out of its range.
absl::StatusOr<Advice> Advise(const AdviceOptions& options);

}  // namespace tally

#endif  // TALLY_CLIENT_ADVICE_ADVICE_H_
