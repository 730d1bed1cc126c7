// The draws and hashes of docs/wire-format.md, written a second time.
#ifndef TALLY_TESTS_REFERENCE_REFERENCE_RANDOM_H_
#define TALLY_TESTS_REFERENCE_REFERENCE_RANDOM_H_

#include <cstdint>
#include <string>

namespace tally::reference {

inline constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

// mix(x) and scale(w, n) of "Dealing".
uint64_t Mix(uint64_t x);
uint32_t Scale(uint32_t w, uint32_t n);

// The key of a worker's votes, or of the aggregators' results.
uint64_t VoteKey(uint64_t run_seed, const std::string& worker);
uint64_t ResultKey(uint64_t run_seed);

// The random word of an element of the flat vector in a round.
uint32_t WordOf(uint64_t key, uint64_t round, uint64_t element);

}  // namespace tally::reference

#endif  // TALLY_TESTS_REFERENCE_REFERENCE_RANDOM_H_
