#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/scalar/votes.h"
#include "kernels/simd/votes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/votes_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "kernels/simd/philox_hwy-inl.h"
#include "kernels/simd/tile_hwy-inl.h"
#include "kernels/simd/vote_planes_hwy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

#if TALLY_SIMD_HAS_VECTORS

void CountVotesOf(Ballots ballots, size_t num_elements, absl::Span<uint8_t> planes) {
  const size_t plane_bytes = BitmapBytes(num_elements);
  const size_t num_planes = CountPlanes(static_cast<uint32_t>(ballots.size()));
  BlockPlanes block;
  for (size_t begin = 0; begin < plane_bytes; begin += kBlockBytes) {
    const size_t size = std::min(kBlockBytes, plane_bytes - begin);
    CountBlock(ballots, begin, size, block);
    for (size_t p = 0; p < num_planes; ++p) {
      std::memcpy(planes.data() + p * plane_bytes + begin, block.bytes[p], size);
    }
  }
}

void MeanOfCountsOf(absl::Span<const uint8_t> planes, uint32_t num_voters, absl::Span<float> mean) {
  const FloatTag tag;
  const hn::RebindToSigned<FloatTag> integers;
  const size_t plane_bytes = BitmapBytes(mean.size());
  const size_t num_planes = CountPlanes(num_voters);
  const FloatVector divisor = hn::Set(tag, static_cast<float>(num_voters));
  const auto voters = hn::Set(integers, static_cast<int32_t>(num_voters));
  BlockPlanes block;
  alignas(64) float means[kTileElements];
  for (size_t begin = 0; begin < plane_bytes; begin += kBlockBytes) {
    const size_t size = std::min(kBlockBytes, plane_bytes - begin);
    const size_t padded_size = (size + kTileBytes - 1) / kTileBytes * kTileBytes;
    for (size_t p = 0; p < num_planes; ++p) {
      std::memset(block.bytes[p], 0, padded_size);
      std::memcpy(block.bytes[p], planes.data() + p * plane_bytes + begin, size);
    }
    for (size_t tile = 0; tile * kTileBytes < size; ++tile) {
      ForEachVector([&](auto j) HWY_ATTR {
        const auto counts = hn::BitCast(integers, WordCountsOf(block, num_planes, tile, j));
        const auto excess = hn::Sub(hn::Add(counts, counts), voters);
        hn::Store(hn::Div(hn::ConvertTo(tag, excess), divisor), tag, means + j * kLanes);
      });
      const size_t first = 8 * (begin + tile * kTileBytes);
      std::copy_n(means, std::min(kTileElements, mean.size() - first), mean.data() + first);
    }
  }
}

// Whole tiles; returns how many elements these are.
size_t BinariseTiles(const BinariseArgs& args) {
  const FloatTag tag;
  const WordTag word_tag;
  const FloatVector beta = hn::Set(tag, args.beta);
  const FloatVector one_minus_beta = hn::Set(tag, args.one_minus_beta);
  const FloatVector magnitude_beta = hn::Set(tag, args.magnitude_beta);
  const FloatVector one_minus_magnitude_beta = hn::Set(tag, args.one_minus_magnitude_beta);
  const FloatVector one = hn::Set(tag, 1.0f);
  const FloatVector minus_one = hn::Set(tag, -1.0f);
  const FloatVector steps = hn::Set(tag, 0x1p23f);
  const hn::RebindToSigned<FloatTag> integers;
  const size_t done = args.moment.size() / kTileElements * kTileElements;
  const WordDrawer drawer(args.draws);
  alignas(64) uint32_t words[kTileElements];
  for (size_t first = 0; first < done; first += kTileElements) {
    for (size_t i = 0; i < kTileElements; i += kDrawnElements) drawer.Write(first + i, words + i);
    FloatMask masks[kTileVectors];
    ForEachVector([&](auto j) HWY_ATTR {
      const size_t at = first + j * kLanes;
      const FloatVector gradient = hn::LoadU(tag, args.gradient.data() + at);
      const FloatVector m = hn::Add(hn::Mul(beta, hn::LoadU(tag, args.moment.data() + at)),
                                    hn::Mul(one_minus_beta, gradient));
      const FloatVector b =
          hn::Add(hn::Mul(magnitude_beta, hn::LoadU(tag, args.magnitude.data() + at)),
                  hn::Mul(one_minus_magnitude_beta, hn::Abs(gradient)));
      hn::StoreU(m, tag, args.moment.data() + at);
      hn::StoreU(b, tag, args.magnitude.data() + at);
      const FloatVector ratio = hn::Min(hn::Max(hn::Div(m, b), minus_one), one);
      const FloatVector u = hn::IfThenElseZero(hn::Gt(b, hn::Zero(tag)), ratio);
      const auto threshold = hn::ConvertTo(integers, hn::Mul(hn::Add(one, u), steps));
      const auto draw = hn::ShiftRight<8>(hn::Load(word_tag, words + j * kLanes));
      // Both are below 2^25, so their signs do not matter.
      const auto ones = hn::Lt(hn::BitCast(integers, draw), threshold);
      masks[j] = hn::RebindMask(tag, ones);
    });
    StoreMasks(masks, args.bits.data() + first / 8);
  }
  return done;
}

void BinariseOf(const BinariseArgs& args) {
  const size_t done = BinariseTiles(args);
  BinariseArgs rest = args;
  rest.moment = args.moment.subspan(done);
  rest.magnitude = args.magnitude.subspan(done);
  rest.gradient = args.gradient.subspan(done);
  rest.draws.first_element += done;
  rest.bits = args.bits.subspan(done / 8);
  ScalarVotes().Binarise(rest).IgnoreError();
}

#else

void CountVotesOf(Ballots ballots, size_t num_elements, absl::Span<uint8_t> planes) {
  ScalarVotes().CountVotes(ballots, num_elements, planes).IgnoreError();
}

void MeanOfCountsOf(absl::Span<const uint8_t> planes, uint32_t num_voters, absl::Span<float> mean) {
  ScalarVotes().MeanOfCounts(planes, num_voters, mean).IgnoreError();
}

void BinariseOf(const BinariseArgs& args) { ScalarVotes().Binarise(args).IgnoreError(); }

#endif

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tally {
namespace simd {

HWY_EXPORT(BinariseOf);
HWY_EXPORT(CountVotesOf);
HWY_EXPORT(MeanOfCountsOf);

}  // namespace simd

void SimdVotes::DoBinarise(const BinariseArgs& args) const {
  HWY_DYNAMIC_DISPATCH(simd::BinariseOf)(args);
}

void SimdVotes::DoCountVotes(Ballots ballots, size_t num_elements,
                             absl::Span<uint8_t> planes) const {
  HWY_DYNAMIC_DISPATCH(simd::CountVotesOf)(ballots, num_elements, planes);
}

void SimdVotes::DoMeanOfCounts(absl::Span<const uint8_t> planes, uint32_t num_voters,
                               absl::Span<float> mean) const {
  HWY_DYNAMIC_DISPATCH(simd::MeanOfCountsOf)(planes, num_voters, mean);
}

}  // namespace tally
#endif  // HWY_ONCE
