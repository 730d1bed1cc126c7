// What each fuzz target defines. The same code runs under libFuzzer (NAMEer, clang only) and in a
// plain test over random and mutated inputs (NAME_test).
#ifndef TALLY_TESTS_FUZZ_FUZZ_TARGET_H_
#define TALLY_TESTS_FUZZ_FUZZ_TARGET_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// Runs the code under test on one input and aborts if a promise is broken. Always returns 0.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace tally {

// Inputs that get far: the plain test mutates them.
std::vector<std::string> SeedInputs();

}  // namespace tally

#endif  // TALLY_TESTS_FUZZ_FUZZ_TARGET_H_
