// Keys of the random draws: who draws, and for what.
#ifndef TALLY_CODECS_DRAW_KEY_H_
#define TALLY_CODECS_DRAW_KEY_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace tally {

enum class DrawRole : uint8_t {
  kVote = 1,    // a worker's own bits
  kResult = 2,  // the aggregators' bits; the worker id is empty
};

// XXH3-64 of: the seed, 8 bytes little-endian; the role, 1 byte; the worker id's bytes. Aggregators
// share one key, because their draws differ by element.
uint64_t DrawKey(uint64_t run_seed, DrawRole role, absl::string_view worker);

}  // namespace tally

#endif  // TALLY_CODECS_DRAW_KEY_H_
