#include "tests/reference/reference_random.h"

#include <xxhash.h>

#include <cstddef>

namespace tally::reference {
namespace {

uint64_t KeyOf(uint64_t run_seed, char role, const std::string& worker) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>((run_seed >> (8 * i)) & 0xff);
  bytes += role;
  bytes += worker;
  return XXH3_64bits(bytes.data(), bytes.size());
}

uint32_t LowOf(uint64_t x) { return static_cast<uint32_t>(x); }
uint32_t HighOf(uint64_t x) { return static_cast<uint32_t>(x >> 32); }

}  // namespace

uint64_t Mix(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9;
  x ^= x >> 27;
  x *= 0x94d049bb133111eb;
  x ^= x >> 31;
  return x;
}

uint32_t Scale(uint32_t w, uint32_t n) { return HighOf(static_cast<uint64_t>(w) * n); }

uint64_t VoteKey(uint64_t run_seed, const std::string& worker) {
  return KeyOf(run_seed, 1, worker);
}

uint64_t ResultKey(uint64_t run_seed) { return KeyOf(run_seed, 2, ""); }

// Philox4x32-10 of the paper: c are its counters R0, L0, R1, L1.
uint32_t WordOf(uint64_t key, uint64_t round, uint64_t element) {
  uint32_t c[4] = {LowOf(element / 4), HighOf(element / 4), LowOf(round), HighOf(round)};
  uint32_t k0 = LowOf(key);
  uint32_t k1 = HighOf(key);
  for (int i = 0; i < 10; ++i) {
    const uint64_t first = static_cast<uint64_t>(c[0]) * 0xD2511F53;
    const uint64_t second = static_cast<uint64_t>(c[2]) * 0xCD9E8D57;
    const uint32_t next[4] = {HighOf(second) ^ c[1] ^ k0, LowOf(second), HighOf(first) ^ c[3] ^ k1,
                              LowOf(first)};
    for (size_t j = 0; j < 4; ++j) c[j] = next[j];
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c[element % 4];
}

}  // namespace tally::reference
