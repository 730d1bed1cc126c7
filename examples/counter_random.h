// Random numbers that are a function of where they are used.
#ifndef TALLY_EXAMPLES_COUNTER_RANDOM_H_
#define TALLY_EXAMPLES_COUNTER_RANDOM_H_

#include <cstdint>

#include "absl/types/span.h"

namespace tally {

// What a draw is for: draws of different purposes have nothing to do with each other.
enum class DrawPurpose : uint64_t { kInitialParameters = 1, kBatch = 2, kArrivalDelay = 3 };

// Returns 64 random bits, a pure function of the arguments: no generator to carry along, so a
// worker that skips or repeats a step draws what it would have drawn. Not for secrets.
uint64_t RandomBits(uint64_t seed, DrawPurpose purpose, uint64_t stream, uint64_t step,
                    uint64_t index);

// Returns a number in [0, bound); `bound` must be positive. The bias is below bound / 2^64.
uint64_t RandomBelow(uint64_t bound, uint64_t bits);

// Fills `values` with draws of mean 0 and the given standard deviation, evenly distributed: only
// arithmetic that IEEE 754 rounds exactly, so no C library has a say. `stream` tells tensors apart.
void FillRandom(uint64_t seed, uint64_t stream, float standard_deviation, absl::Span<float> values);

}  // namespace tally

#endif  // TALLY_EXAMPLES_COUNTER_RANDOM_H_
