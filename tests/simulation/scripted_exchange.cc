#include "tests/simulation/scripted_exchange.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/digest.h"
#include "base/mix64.h"

namespace tally {

Layout SimulatedLayout(bool dealt) {
  absl::optional<DealingOptions> dealing;
  if (dealt) dealing = DealingOptions{.num_groups = 2, .seed = 1};
  absl::StatusOr<Layout> layout = Layout::Create({{"a", 500, Treatment::kCompressed, {{3, 4}}},
                                                  {"b", 100, Treatment::kCompressed},
                                                  {"c", 10, Treatment::kDense}},
                                                 256, dealing);
  TALLY_CHECK(layout.ok(), layout.status().ToString());
  return *std::move(layout);
}

Exchange ScriptedExchange(const Layout& layout, uint32_t roster_limit, uint32_t chunk,
                          uint64_t round) {
  const Layout::Chunk& place = layout.chunks()[chunk];
  if (place.dense) return {DenseExchange{}};
  if (place.dealt) {
    return {SketchExchange{.hash_seed = 1,
                           .rows = 3,
                           .columns = 32,
                           .num_candidates = std::min<uint32_t>(place.num_elements, 10),
                           .with_estimates = round % 5 == 4}};
  }
  const SignExchange signs = {ScaleRule::kRootMeanSquare, {ScaleGranularity::Unit::kBlock, 256}};
  if (Tracks(layout, chunk)) return {signs, Divisor::kRoster};
  switch ((round + chunk) % 8) {
    case 0:
      return {DenseExchange{}};
    case 2:
      if (roster_limit > kMaxRelayParticipants) return {signs};
      return {SignRelayExchange{signs.granularity}};
    case 3:
      return {VoteExchange{VoteResult::kDrawn}};
    case 5:
      return {SparseExchange{std::min<uint32_t>(place.num_elements, 20)}};
    default:
      return {signs};
  }
}

uint64_t ScriptSeed(uint64_t run_seed, absl::string_view worker, uint32_t chunk, const Place& place,
                    uint64_t shared_digest) {
  return Mix64(run_seed ^ Digest64(worker) ^ Mix64(shared_digest + 2 * place.round + place.half) ^
               Mix64(chunk * kGolden64));
}

bool Abstains(uint64_t script_seed) { return Mix64(script_seed) % 64 == 0; }

}  // namespace tally
