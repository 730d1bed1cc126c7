#include "client/optimizers/vote_result.h"

#include <cstddef>

#include "codecs/exchange.h"
#include "kernels/sign_block.h"

namespace tally {

absl::Status DecodeVoteResult(const ChunkResult& result, const Backend& backend,
                              absl::Span<float> outcome) {
  const auto& vote = absl::get<VoteExchange>(result.exchange->kind);
  if (vote.result == VoteResult::kCounts) {
    return backend.votes().MeanOfCounts(result.payload->bytes(), result.num_participants, outcome);
  }
  // A bit is a sign of scale 1.
  const float scale = 1.0f;
  const auto end = static_cast<uint32_t>(outcome.size());
  const SignBlock block = {.bits = result.payload->bytes(), .scales = {&scale, 1}};
  return backend.SumSigns({&block, 1}, {&end, 1}, /*live=*/{}, outcome);
}

void ClearMasked(absl::Span<const uint8_t> live, absl::Span<float> direction) {
  if (live.empty()) return;
  for (size_t i = 0; i < direction.size(); ++i) {
    if (((live[i / 8] >> (i % 8)) & 1) == 0) direction[i] = 0.0f;
  }
}

}  // namespace tally
