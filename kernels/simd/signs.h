// The sign kernels, as Backend describes them with the best vectors of this machine. Arguments were
// checked; spans are not empty.
#ifndef TALLY_KERNELS_SIMD_SIGNS_H_
#define TALLY_KERNELS_SIMD_SIGNS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/backend.h"
#include "kernels/sign_block.h"

namespace tally::simd {

void Accumulate(const AccumulateArgs& args);
void PackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits);
void SumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
              absl::Span<const uint8_t> live, absl::Span<float> out);
void SignRound(const SignRoundArgs& args);

}  // namespace tally::simd

#endif  // TALLY_KERNELS_SIMD_SIGNS_H_
