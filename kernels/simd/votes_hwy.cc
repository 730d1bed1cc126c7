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

HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

#if TALLY_SIMD_HAS_VECTORS

using ByteTag = hn::Repartition<uint8_t, FloatTag>;
using ByteVector = hn::Vec<ByteTag>;

// Bitmaps are worked on in blocks of a vector of bytes; the last one may be shorter and is padded
// with zeros.
inline constexpr size_t kBlockBytes = hn::MaxLanes(ByteTag());
inline constexpr size_t kBlockTiles = kBlockBytes / kTileBytes;
// Planes of the largest roster.
inline constexpr size_t kMaxPlanes = 17;

// Bit planes of the counts of one block.
struct BlockPlanes {
  alignas(64) uint8_t bytes[kMaxPlanes][kBlockBytes];
};

HWY_INLINE ByteVector LoadBlock(const uint8_t* bytes, size_t size) {
  const ByteTag tag;
  if (size == kBlockBytes) return hn::LoadU(tag, bytes);
  alignas(64) uint8_t padded[kBlockBytes] = {};
  std::memcpy(padded, bytes, size);
  return hn::Load(tag, padded);
}

HWY_INLINE void StoreBlock(const uint8_t* block, uint8_t* bytes, size_t size) {
  std::memcpy(bytes, block, size);
}

// Counts bytes [begin, begin + size) of all ballots, one after the other: a ripple of carries as
// long as a count can be by then.
HWY_INLINE void CountBlock(Ballots ballots, size_t begin, size_t size, BlockPlanes& planes) {
  const ByteTag tag;
  ByteVector sums[kMaxPlanes];
  const size_t num_planes = CountPlanes(static_cast<uint32_t>(ballots.size()));
  for (size_t p = 0; p < num_planes; ++p) sums[p] = hn::Zero(tag);
  for (size_t n = 0; n < ballots.size(); ++n) {
    ByteVector carry = LoadBlock(ballots[n].data() + begin, size);
    const size_t ripple = CountPlanes(static_cast<uint32_t>(n + 1));
    for (size_t p = 0; p < ripple; ++p) {
      const ByteVector sum = sums[p];
      sums[p] = hn::Xor(sum, carry);
      carry = hn::And(sum, carry);
    }
  }
  for (size_t p = 0; p < num_planes; ++p) hn::Store(sums[p], tag, planes.bytes[p]);
}

// The counts of vector j of a tile, from the planes of its block.
HWY_INLINE WordVector CountsOf(const BlockPlanes& planes, size_t num_planes, size_t tile,
                               size_t j) {
  const WordTag tag;
  WordVector counts = hn::Zero(tag);
  for (size_t p = 0; p < num_planes; ++p) {
    const auto mask = hn::RebindMask(tag, LoadMask(planes.bytes[p] + tile * kTileBytes, j));
    counts = hn::Or(counts, hn::IfThenElseZero(mask, hn::Set(tag, uint32_t{1} << p)));
  }
  return counts;
}

void CountVotesOf(Ballots ballots, size_t num_elements, absl::Span<uint8_t> planes) {
  const size_t plane_bytes = BitmapBytes(num_elements);
  const size_t num_planes = CountPlanes(static_cast<uint32_t>(ballots.size()));
  BlockPlanes block;
  for (size_t begin = 0; begin < plane_bytes; begin += kBlockBytes) {
    const size_t size = std::min(kBlockBytes, plane_bytes - begin);
    CountBlock(ballots, begin, size, block);
    for (size_t p = 0; p < num_planes; ++p) {
      StoreBlock(block.bytes[p], planes.data() + p * plane_bytes + begin, size);
    }
  }
}

// Decides every element from its count and its word: decide(counts, words) gives the mask of ones.
template <typename Decide>
HWY_INLINE void ElectBits(Ballots ballots, size_t num_elements, const DrawStream& draws,
                          absl::Span<uint8_t> bits, Decide decide) {
  const WordTag tag;
  const size_t num_planes = CountPlanes(static_cast<uint32_t>(ballots.size()));
  BlockPlanes planes;
  alignas(64) uint32_t words[kTileElements];
  alignas(64) uint8_t elected[kBlockBytes];
  for (size_t begin = 0; begin < bits.size(); begin += kBlockBytes) {
    const size_t size = std::min(kBlockBytes, bits.size() - begin);
    CountBlock(ballots, begin, size, planes);
    for (size_t tile = 0; tile * kTileBytes < size; ++tile) {
      const size_t first = 8 * (begin + tile * kTileBytes);
      for (size_t i = 0; i < kTileElements; i += 4 * kLanes) FillWords(draws, first + i, words + i);
      FloatMask masks[kTileVectors];
      ForEachVector([&](auto j) HWY_ATTR {
        const WordVector counts = CountsOf(planes, num_planes, tile, j);
        masks[j] = hn::RebindMask(FloatTag(), decide(counts, hn::Load(tag, words + j * kLanes)));
      });
      StoreMasks(masks, elected + tile * kTileBytes);
    }
    StoreBlock(elected, bits.data() + begin, size);
  }
  // What the padding elected.
  const size_t used_bits = num_elements % 8;
  if (used_bits != 0) bits.back() &= static_cast<uint8_t>((1u << used_bits) - 1);
}

void DrawVotesOf(Ballots ballots, size_t num_elements, const DrawStream& draws,
                 absl::Span<uint8_t> bits) {
  const WordVector num_voters = hn::Set(WordTag(), static_cast<uint32_t>(ballots.size()));
  ElectBits(ballots, num_elements, draws, bits, [&](auto counts, auto words) HWY_ATTR {
    return hn::Lt(MulWide(words, num_voters).high, counts);
  });
}

void MajorityVotesOf(Ballots ballots, size_t num_elements, const DrawStream& draws,
                     absl::Span<uint8_t> bits) {
  const WordTag tag;
  const WordVector num_voters = hn::Set(tag, static_cast<uint32_t>(ballots.size()));
  const WordVector top_bit = hn::Set(tag, 0x80000000u);
  ElectBits(ballots, num_elements, draws, bits, [&](auto counts, auto words) HWY_ATTR {
    const WordVector twice = hn::Add(counts, counts);
    const auto tied = hn::Eq(twice, num_voters);
    return hn::Or(hn::Gt(twice, num_voters), hn::And(tied, hn::TestBit(words, top_bit)));
  });
}

void MeanOfCountsOf(absl::Span<const uint8_t> planes, uint32_t num_voters, absl::Span<float> mean) {
  const FloatTag tag;
  const hn::RebindToSigned<FloatTag> integers;
  const size_t plane_bytes = BitmapBytes(mean.size());
  const size_t num_planes = CountPlanes(num_voters);
  const FloatVector divisor = hn::Set(tag, static_cast<float>(num_voters));
  const auto voters = hn::Set(integers, static_cast<int32_t>(num_voters));
  BlockPlanes block;
  alignas(64) float means[8 * kBlockBytes];
  for (size_t begin = 0; begin < plane_bytes; begin += kBlockBytes) {
    const size_t size = std::min(kBlockBytes, plane_bytes - begin);
    for (size_t p = 0; p < num_planes; ++p) {
      hn::Store(LoadBlock(planes.data() + p * plane_bytes + begin, size), ByteTag(),
                block.bytes[p]);
    }
    for (size_t tile = 0; tile < kBlockTiles; ++tile) {
      ForEachVector([&](auto j) HWY_ATTR {
        const auto counts = hn::BitCast(integers, CountsOf(block, num_planes, tile, j));
        const auto excess = hn::Sub(hn::Add(counts, counts), voters);
        hn::Store(hn::Div(hn::ConvertTo(tag, excess), divisor), tag,
                  means + tile * kTileElements + j * kLanes);
      });
    }
    const size_t first = 8 * begin;
    std::copy_n(means, std::min(8 * size, mean.size() - first), mean.data() + first);
  }
}

// Whole tiles; returns how many elements these are.
size_t BinariseTiles(const BinariseArgs& args) {
  const FloatTag tag;
  const WordTag word_tag;
  const FloatVector beta = hn::Set(tag, args.beta);
  const FloatVector one_minus_beta = hn::Set(tag, args.one_minus_beta);
  const FloatVector one = hn::Set(tag, 1.0f);
  const FloatVector minus_one = hn::Set(tag, -1.0f);
  const FloatVector steps = hn::Set(tag, 0x1p23f);
  const hn::RebindToSigned<FloatTag> integers;
  const size_t done = args.moment.size() / kTileElements * kTileElements;
  alignas(64) uint32_t words[kTileElements];
  for (size_t first = 0; first < done; first += kTileElements) {
    for (size_t i = 0; i < kTileElements; i += 4 * kLanes) {
      FillWords(args.draws, first + i, words + i);
    }
    FloatMask masks[kTileVectors];
    ForEachVector([&](auto j) HWY_ATTR {
      const size_t at = first + j * kLanes;
      const FloatVector gradient = hn::LoadU(tag, args.gradient.data() + at);
      const FloatVector m = hn::Add(hn::Mul(beta, hn::LoadU(tag, args.moment.data() + at)),
                                    hn::Mul(one_minus_beta, gradient));
      const FloatVector b = hn::Add(hn::Mul(beta, hn::LoadU(tag, args.magnitude.data() + at)),
                                    hn::Mul(one_minus_beta, hn::Abs(gradient)));
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

void DrawVotesOf(Ballots ballots, size_t num_elements, const DrawStream& draws,
                 absl::Span<uint8_t> bits) {
  ScalarVotes().DrawVotes(ballots, num_elements, draws, bits).IgnoreError();
}

void MajorityVotesOf(Ballots ballots, size_t num_elements, const DrawStream& draws,
                     absl::Span<uint8_t> bits) {
  ScalarVotes().MajorityVotes(ballots, num_elements, draws, bits).IgnoreError();
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
HWY_EXPORT(DrawVotesOf);
HWY_EXPORT(MajorityVotesOf);
HWY_EXPORT(MeanOfCountsOf);

}  // namespace simd

void SimdVotes::DoBinarise(const BinariseArgs& args) const {
  HWY_DYNAMIC_DISPATCH(simd::BinariseOf)(args);
}

void SimdVotes::DoCountVotes(Ballots ballots, size_t num_elements,
                             absl::Span<uint8_t> planes) const {
  HWY_DYNAMIC_DISPATCH(simd::CountVotesOf)(ballots, num_elements, planes);
}

void SimdVotes::DoDrawVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                            absl::Span<uint8_t> bits) const {
  HWY_DYNAMIC_DISPATCH(simd::DrawVotesOf)(ballots, num_elements, draws, bits);
}

void SimdVotes::DoMajorityVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                                absl::Span<uint8_t> bits) const {
  HWY_DYNAMIC_DISPATCH(simd::MajorityVotesOf)(ballots, num_elements, draws, bits);
}

void SimdVotes::DoMeanOfCounts(absl::Span<const uint8_t> planes, uint32_t num_voters,
                               absl::Span<float> mean) const {
  HWY_DYNAMIC_DISPATCH(simd::MeanOfCountsOf)(planes, num_voters, mean);
}

}  // namespace tally
#endif  // HWY_ONCE
