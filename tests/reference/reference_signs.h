// Compression to signs: a bit for each element of a chunk, a scale for each block.
#ifndef TALLY_TESTS_REFERENCE_REFERENCE_SIGNS_H_
#define TALLY_TESTS_REFERENCE_REFERENCE_SIGNS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tests/reference/reference_norm.h"

namespace tally::reference {

struct SignRule {
  Scale scale = Scale::kRootMeanSquare;
  size_t block_elements = 4096;
};

// Whose order of summation the norms follow.
enum class By { kWorker, kAggregator };

// The payload of a chunk's values; `values` become what it stands for. Those that do not live count
// in no scale and become 0.
std::string CompressToSigns(const SignRule& rule, By by, const std::vector<bool>& live,
                            std::vector<float>& values);

}  // namespace tally::reference

#endif  // TALLY_TESTS_REFERENCE_REFERENCE_SIGNS_H_
