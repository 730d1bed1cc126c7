// How much of a chunk is worked on at a time.
#ifndef TALLY_CLIENT_OPTIMIZERS_TILE_H_
#define TALLY_CLIENT_OPTIMIZERS_TILE_H_

#include <cstdint>

namespace tally {

// Passes over a chunk work tile by tile, so that what one kernel wrote is still in the cache when
// the next one reads it: a few arrays of 64 KiB. No result depends on it.
inline constexpr uint32_t kTileElements = 16'384;

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_TILE_H_
