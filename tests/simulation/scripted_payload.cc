#include "tests/simulation/scripted_payload.h"

#include <algorithm>

#include "base/digest.h"
#include "base/mix64.h"
#include "tests/util/random_payload.h"

namespace tally {

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
      return {signs, round % 3 == 0 ? Divisor::kRoster : Divisor::kParticipants};
  }
}

uint64_t ScriptSeed(uint64_t run_seed, absl::string_view worker, uint32_t chunk, uint32_t half,
                    uint64_t prev_chain) {
  return Mix64(run_seed ^ Digest64(worker) ^ Mix64(prev_chain + half) ^ Mix64(chunk * kGolden64));
}

Buffer ScriptedPayload(const Exchange& exchange, const Layout& layout, uint32_t chunk,
                       uint64_t seed) {
  return RandomPayload(exchange, layout, chunk, PayloadValues::kDyadic, seed);
}

}  // namespace tally
