// What a contribution says of its chunk's elements.
#ifndef TALLY_TESTS_SIMULATION_CONTRIBUTION_VALUES_H_
#define TALLY_TESTS_SIMULATION_CONTRIBUTION_VALUES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"

namespace tally {

// [num_elements of the chunk] The values that a valid contribution stands for, and that its worker
// takes out when it counts: none of a vote or of a sketch. `candidates` are those that the values
// of a second half belong to. The result of a sign exchange is read the same way.
std::vector<float> ContributionValues(const Exchange& exchange, const Layout& layout,
                                      uint32_t chunk, absl::Span<const uint8_t> payload,
                                      absl::Span<const uint32_t> candidates);

// The elements that the result of a sketch round's first half asks the values of.
std::vector<uint32_t> CandidatesOf(const Layout& layout, uint32_t chunk,
                                   absl::Span<const uint8_t> payload);

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_CONTRIBUTION_VALUES_H_
