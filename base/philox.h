// A counter-based random generator: the same counter and key give the same words, whatever was
// drawn before.
#ifndef TALLY_BASE_PHILOX_H_
#define TALLY_BASE_PHILOX_H_

#include <array>
#include <cstdint>

namespace tally {

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011): four random words.
constexpr std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                             std::array<uint32_t, 2> key) {
  constexpr uint32_t kMultipliers[2] = {0xd2511f53, 0xcd9e8d57};
  constexpr uint32_t kWeyl[2] = {0x9e3779b9, 0xbb67ae85};
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{kMultipliers[0]} * counter[0];
    const uint64_t product1 = uint64_t{kMultipliers[1]} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kWeyl[0];
    key[1] += kWeyl[1];
  }
  return counter;
}

// The random words of one party in one round, one per element of the flat vector: word i % 4 of
// Philox4x32 with counter (i / 4 low, i / 4 high, round low, round high) and the key's halves, low
// first. So draws depend neither on how the vector is cut nor on what was drawn before.
struct DrawStream {
  uint64_t key = 0;
  uint64_t round = 0;
  // Index in the flat vector of the first element at hand.
  uint64_t first_element = 0;

  // The word of element first_element + offset.
  constexpr uint32_t WordAt(uint64_t offset) const {
    const uint64_t element = first_element + offset;
    return Philox4x32({static_cast<uint32_t>(element / 4), static_cast<uint32_t>(element / 4 >> 32),
                       static_cast<uint32_t>(round), static_cast<uint32_t>(round >> 32)},
                      {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)})[element % 4];
  }
};

}  // namespace tally

#endif  // TALLY_BASE_PHILOX_H_
