// Contributions drawn at random.
#ifndef TALLY_TESTS_UTIL_RANDOM_PAYLOAD_H_
#define TALLY_TESTS_UTIL_RANDOM_PAYLOAD_H_

#include <cstdint>

#include "base/buffer.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"

namespace tally {

enum class PayloadValues : uint8_t {
  kDyadic,   // multiples of 1/64, scales powers of two: sums are exact
  kRounded,  // sums are rounded
};

// A valid contribution to the exchange; a function of the arguments. Masked elements are zero.
Buffer RandomPayload(const Exchange& exchange, const Layout& layout, uint32_t chunk,
                     PayloadValues values, uint64_t seed);

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_RANDOM_PAYLOAD_H_
