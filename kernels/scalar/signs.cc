#include "kernels/scalar/signs.h"

#include <algorithm>
#include <cstddef>

#include "kernels/live_mask.h"
#include "kernels/scalar/reductions.h"

namespace tally::scalar {
namespace {

bool GetBit(absl::Span<const uint8_t> bits, size_t i) { return (bits[i / 8] >> (i % 8)) & 1; }

bool IsLive(absl::Span<const uint8_t> live, size_t i) { return live.empty() || GetBit(live, i); }

float SignedScale(const SignBlock& block, size_t segment, size_t i) {
  const float scale = block.scales[segment];
  return GetBit(block.bits, i) ? scale : -scale;
}

float SumOfBlocks(absl::Span<const SignBlock> blocks, size_t segment, size_t i) {
  float sum = SignedScale(blocks[0], segment, i);
  for (size_t n = 1; n < blocks.size(); ++n) sum += SignedScale(blocks[n], segment, i);
  return sum;
}

double Norm(ScaleRule rule, absl::Span<const float> x) {
  return rule == ScaleRule::kRootMeanSquare ? SumOfSquares(x) : SumOfMagnitudes(x);
}

// Calls function(segment, begin, end) for each segment.
template <typename Function>
void ForEachSegment(SegmentEnds segment_ends, Function function) {
  size_t begin = 0;
  for (size_t segment = 0; segment < segment_ends.size(); ++segment) {
    const size_t end = segment_ends[segment];
    function(segment, begin, end);
    begin = end;
  }
}

}  // namespace

void Accumulate(const AccumulateArgs& args) {
  const bool something_leaves = !args.counted.bits.empty();
  ForEachSegment(args.segment_ends, [&](size_t segment, size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if (!IsLive(args.live, i)) {
        args.sum[i] = 0.0f;
        continue;
      }
      float sum = args.sum[i];
      if (something_leaves) sum -= SignedScale(args.counted, segment, i);
      args.sum[i] = sum + args.input[i];
    }
    args.norms[segment] = Norm(args.rule, args.sum.subspan(begin, end - begin));
  });
}

void PackSigns(absl::Span<const float> x, absl::Span<uint8_t> bits) {
  std::fill(bits.begin(), bits.end(), uint8_t{0});
  for (size_t i = 0; i < x.size(); ++i) {
    if (!(x[i] < 0.0f)) bits[i / 8] |= static_cast<uint8_t>(1 << (i % 8));
  }
}

void SumSigns(absl::Span<const SignBlock> blocks, SegmentEnds segment_ends,
              absl::Span<const uint8_t> live, absl::Span<float> out) {
  ForEachSegment(segment_ends, [&](size_t segment, size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      out[i] = IsLive(live, i) ? SumOfBlocks(blocks, segment, i) : 0.0f;
    }
  });
}

void SignRound(const SignRoundArgs& args) {
  ForEachSegment(args.segment_ends, [&](size_t segment, size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      args.residual[i] =
          IsLive(args.live, i)
              ? SumOfBlocks(args.blocks, segment, i) / args.divisor + args.residual[i]
              : 0.0f;
    }
    args.scales[segment] =
        ScaleFromNorm(args.rule, Norm(args.rule, args.residual.subspan(begin, end - begin)),
                      CountLive(args.live, begin, end));
  });
  PackSigns(args.residual, args.bits);
  const SignBlock result = {args.bits, args.scales};
  ForEachSegment(args.segment_ends, [&](size_t segment, size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if (IsLive(args.live, i)) args.residual[i] -= SignedScale(result, segment, i);
    }
  });
}

}  // namespace tally::scalar
