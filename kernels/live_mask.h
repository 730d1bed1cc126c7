// Zero masks as bitmaps: bit i % 8 of byte i / 8 is 1 if element i lives, 0 if it is masked. An
// empty one means that all live.
#ifndef TALLY_KERNELS_LIVE_MASK_H_
#define TALLY_KERNELS_LIVE_MASK_H_

#include <cstdint>

#include "absl/types/span.h"

namespace tally {

// Number of bits that are 1 among elements [begin, end) of `live`; end - begin if `live` is empty.
uint64_t CountLive(absl::Span<const uint8_t> live, uint64_t begin, uint64_t end);

}  // namespace tally

#endif  // TALLY_KERNELS_LIVE_MASK_H_
