// Runs one fuzz target over inputs that need no fuzzer: empty, random, and its seeds, mutated.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/fuzz_target.h"

namespace tally {
namespace {

constexpr uint32_t kRandomSeed = 1;
constexpr int kRandomInputs = 3000;
constexpr int kMutationsPerSeed = 3000;

void RunTarget(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

class InputGenerator {
 public:
  std::string RandomBytes(size_t max_size) {
    std::string bytes(Below(max_size + 1), '\0');
    for (char& byte : bytes) byte = RandomByte();
    return bytes;
  }

  // A few edits of the kinds that fuzzers make.
  std::string Mutated(std::string input) {
    const size_t num_edits = 1 + Below(4);
    for (size_t edit = 0; edit < num_edits; ++edit) {
      const size_t place = Below(input.size() + 1);
      const size_t length = std::min(input.size() - place, 1 + Below(8));
      switch (Below(6)) {
        case 0:
          input.erase(place, length);
          break;
        case 1:
          input.insert(place, RandomBytes(8));
          break;
        case 2:
          input.insert(place, input.substr(Below(input.size() + 1), 1 + Below(16)));
          break;
        case 3:
          if (place < input.size()) input[place] = RandomByte();
          break;
        case 4:
          if (place < input.size()) input[place] ^= static_cast<char>(1 << Below(8));
          break;
        case 5:
          // Limits of bytes, varints and floats.
          std::fill_n(input.begin() + place, length, "\x00\x01\x7f\x80\xff"[Below(5)]);
          break;
      }
    }
    return input;
  }

 private:
  size_t Below(size_t bound) { return random_() % bound; }
  char RandomByte() { return static_cast<char>(random_()); }

  std::mt19937 random_{kRandomSeed};
};

TEST(FuzzTargetTest, SurvivesNothing) { RunTarget(""); }

TEST(FuzzTargetTest, SurvivesRandomBytes) {
  InputGenerator generator;
  for (int i = 0; i < kRandomInputs; ++i) RunTarget(generator.RandomBytes(300));
}

TEST(FuzzTargetTest, SurvivesItsSeedsAndTheirMutations) {
  InputGenerator generator;
  const std::vector<std::string> seeds = SeedInputs();
  ASSERT_FALSE(seeds.empty());
  for (const std::string& seed : seeds) {
    RunTarget(seed);
    for (int i = 0; i < kMutationsPerSeed; ++i) RunTarget(generator.Mutated(seed));
  }
}

}  // namespace
}  // namespace tally
