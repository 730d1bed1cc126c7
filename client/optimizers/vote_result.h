// What came of a vote, as numbers.
#ifndef TALLY_CLIENT_OPTIMIZERS_VOTE_RESULT_H_
#define TALLY_CLIENT_OPTIMIZERS_VOTE_RESULT_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/exchanger.h"
#include "kernels/backend.h"

namespace tally {

// Writes the outcome of each element of a chunk: +1 or -1, or (2k - n) / n where the counts k of n
// votes came down. `result` is that of a VoteExchange in which somebody took part; `outcome`
// [chunk.num_elements].
absl::Status DecodeVoteResult(const ChunkResult& result, const Backend& backend,
                              absl::Span<float> outcome);

// Sets the masked elements of a direction to zero: nothing may move along them. `live`
// [BitmapBytes(direction.size())] or empty.
void ClearMasked(absl::Span<const uint8_t> live, absl::Span<float> direction);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_VOTE_RESULT_H_
