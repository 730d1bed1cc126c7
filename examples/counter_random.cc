#include "examples/counter_random.h"

#include <cmath>
#include <cstddef>

namespace tally {
namespace {

// An invertible scrambling of 64 bits: every input bit reaches every output bit.
uint64_t Scramble(uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  x ^= x >> 32;
  return x;
}

// Odd, and its multiples fall evenly over the 64 bits.
constexpr uint64_t kGoldenRatio = 0x9e3779b97f4a7c15u;

uint64_t Absorb(uint64_t state, uint64_t word) {
  return Scramble((state + kGoldenRatio) ^ Scramble(word + kGoldenRatio));
}

}  // namespace

uint64_t RandomBits(uint64_t seed, DrawPurpose purpose, uint64_t stream, uint64_t step,
                    uint64_t index) {
  uint64_t state = seed;
  for (const uint64_t word : {static_cast<uint64_t>(purpose), stream, step, index}) {
    state = Absorb(state, word);
  }
  return state;
}

uint64_t RandomBelow(uint64_t bound, uint64_t bits) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(bits) * bound) >> 64);
}

void FillRandom(uint64_t seed, uint64_t stream, float standard_deviation,
                absl::Span<float> values) {
  // An even distribution over [-a, a) has standard deviation a / sqrt(3).
  const float bound = standard_deviation * std::sqrt(3.0f);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint64_t bits = RandomBits(seed, DrawPurpose::kInitialParameters, stream, 0, i);
    // The upper 24 bits as a number in [-1, 1).
    const float unit = static_cast<float>(bits >> 40) * 0x1p-23f - 1.0f;
    values[i] = bound * unit;
  }
}

}  // namespace tally
