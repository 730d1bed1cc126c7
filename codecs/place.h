// Places in a chunk's history.
#ifndef TALLY_CODECS_PLACE_H_
#define TALLY_CODECS_PLACE_H_

#include <compare>
#include <cstdint>
#include <string>

#include "proto/tally/v1/exchange.pb.h"

namespace tally {

// One exchange of a chunk: a round, or one half of a sketch round.
struct Place {
  uint64_t round = 0;
  uint32_t half = 0;
  // The order of the history. A genesis, whose round is the first one minus one modulo 2^64, stands
  // outside of it.
  friend auto operator<=>(const Place&, const Place&) = default;
};

// Grows along the history of a run that begins with `first_round`: 0 is the genesis.
inline uint64_t PlaceIndex(const Place& place, uint64_t first_round) {
  return 2 * (place.round - first_round + 1) + place.half;
}

// For people: "round 812" or "round 812, half 1".
std::string PlaceName(const Place& place);

// Where the header itself stands.
Place PlaceOf(const v1::ResultHeader& header);

// The place after it: the second half, if the header is that of the first half of a sketch round in
// which somebody took part and which has a second half; else the next round.
Place PlaceAfter(const v1::ResultHeader& header);

}  // namespace tally

#endif  // TALLY_CODECS_PLACE_H_
