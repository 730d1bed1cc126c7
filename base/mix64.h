// The mixing function behind the project's hashes.
#ifndef TALLY_BASE_MIX64_H_
#define TALLY_BASE_MIX64_H_

#include <cstdint>

namespace tally {

// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014; constants of Stafford's variant
// 13): a bijection in which every bit of the result depends on every bit of x.
constexpr uint64_t Mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// 2^64 / golden ratio, odd: multiples of it are far apart, so Mix64(key + i * kGolden64) is a good
// sequence in i.
inline constexpr uint64_t kGolden64 = 0x9e3779b97f4a7c15;

// A number in [0, n), from 32 random bits: the high word of the product. Its bias is below n /
// 2^32.
constexpr uint32_t ScaleTo(uint32_t random, uint32_t n) {
  return static_cast<uint32_t>((uint64_t{random} * n) >> 32);
}

}  // namespace tally

#endif  // TALLY_BASE_MIX64_H_
