// Contributions for tests.
#ifndef TALLY_TESTS_UTIL_CONTRIBUTION_BUILDER_H_
#define TALLY_TESTS_UTIL_CONTRIBUTION_BUILDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "codecs/exchange.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "proto/tally/v1/membership.pb.h"

namespace tally {

// Fp32 values as they lie in a dense payload.
std::string DensePayload(absl::Span<const float> values);
// A sign payload: scales, then bits of which all are 1 except those of the given elements.
std::string SignPayload(absl::Span<const float> scales, size_t num_elements,
                        const std::vector<size_t>& negative = {});

Exchange DenseFloat32();
// RMS scales over blocks of 256.
Exchange SignBlocks256();

// A contribution that is right in every field, until a test makes one wrong. Whoever changes the
// payload chooses whether the digest follows.
struct TestContribution {
  v1::Contribution message;  // as in the first slice, but for the slice itself
  std::string payload;

  // Makes the digest the payload's.
  void Sign();
  // The messages that carry it.
  std::vector<v1::ClientMessage> Slices(size_t slice_bytes) const;
};

// What the worker of this Hello sends.
TestContribution MakeContribution(const v1::Hello& hello, uint32_t chunk, uint64_t round,
                                  uint64_t prev_chain, const Exchange& exchange,
                                  std::string payload);
TestContribution MakeAbstention(const v1::Hello& hello, uint32_t chunk, uint64_t round,
                                uint64_t prev_chain, const Exchange& exchange);

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_CONTRIBUTION_BUILDER_H_
