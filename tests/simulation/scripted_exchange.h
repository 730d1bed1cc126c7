// What simulated jobs exchange.
#ifndef TALLY_TESTS_SIMULATION_SCRIPTED_EXCHANGE_H_
#define TALLY_TESTS_SIMULATION_SCRIPTED_EXCHANGE_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/place.h"

namespace tally {

// A job's layout: 600 compressed and 10 dense elements in some chunks, or the former dealt to
// groups for sketches.
Layout SimulatedLayout(bool dealt);

// The chunk whose every round is a tracking method's, of layouts that are not dealt.
inline constexpr uint32_t kTrackingChunk = 1;
inline bool Tracks(const Layout& layout, uint32_t chunk) {
  return !layout.dealing().has_value() && chunk == kTrackingChunk;
}

// The exchange of a chunk's round: a function of both, the same for all workers. Contiguous chunks
// take turns between signs (mostly), relayed signs, dense, votes and sparse values, but for the one
// that tracks; groups are exchanged by sketch; dense chunks dense.
// `roster_limit` is the job's: signs are relayed to few.
Exchange ScriptedExchange(const Layout& layout, uint32_t roster_limit, uint32_t chunk,
                          uint64_t round);

// What a worker's input is drawn from: also the digest of what was shared before, so that one wrong
// bit spreads.
uint64_t ScriptSeed(uint64_t run_seed, absl::string_view worker, uint32_t chunk, const Place& place,
                    uint64_t shared_digest);

// A few contributions are abstained from.
bool Abstains(uint64_t script_seed);

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_SCRIPTED_EXCHANGE_H_
