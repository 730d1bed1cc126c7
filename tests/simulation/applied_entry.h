// What a simulated worker remembers of a chunk's history.
#ifndef TALLY_TESTS_SIMULATION_APPLIED_ENTRY_H_
#define TALLY_TESTS_SIMULATION_APPLIED_ENTRY_H_

#include <cstdint>
#include <map>
#include <vector>

#include "base/mix64.h"
#include "codecs/place.h"
#include "proto/tally/v1/exchange.pb.h"

namespace tally {

// An entry as the worker applied it.
struct AppliedEntry {
  Place place;
  uint64_t chain = 0;
  // The header names this worker.
  bool counted = false;
  v1::ResultHeader header;
};

// By chunk, in order.
using History = std::map<uint32_t, std::vector<AppliedEntry>>;

// Digest of what all share of a chunk, after an entry: of the payloads of its history.
inline uint64_t SharedDigestAfter(uint64_t shared_digest, const v1::ResultHeader& header) {
  return header.has_exchange() ? Mix64(shared_digest ^ header.payload_digest()) : shared_digest;
}

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_APPLIED_ENTRY_H_
