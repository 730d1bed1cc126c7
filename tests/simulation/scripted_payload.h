// What simulated workers contribute.
#ifndef TALLY_TESTS_SIMULATION_SCRIPTED_PAYLOAD_H_
#define TALLY_TESTS_SIMULATION_SCRIPTED_PAYLOAD_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/buffer.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/place.h"

namespace tally {

// The exchange of a chunk's round: a function of both, the same for all workers. Contiguous chunks
// take turns between signs (mostly), relayed signs, dense, votes and sparse values; groups are
// exchanged by sketch; dense chunks dense.
// `roster_limit` is the job's: signs are relayed to few.
Exchange ScriptedExchange(const Layout& layout, uint32_t roster_limit, uint32_t chunk,
                          uint64_t round);

// What a worker's payload is drawn from: also what was shared before, so that one wrong bit
// spreads.
uint64_t ScriptSeed(uint64_t run_seed, absl::string_view worker, uint32_t chunk, uint32_t half,
                    uint64_t prev_chain);

// A valid payload for it, drawn from `seed`: values are multiples of 1/64, scales powers of two.
Buffer ScriptedPayload(const Exchange& exchange, const Layout& layout, uint32_t chunk,
                       uint64_t seed);

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_SCRIPTED_PAYLOAD_H_
