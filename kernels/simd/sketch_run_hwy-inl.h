// Runs of a count sketch in vectors: their hashes, and the way between a run and its cells. Once
// per target.
#include "base/mix64.h"
#include "kernels/simd/tile_hwy-inl.h"
#include "kernels/sketch_hash.h"

#if defined(TALLY_KERNELS_SIMD_SKETCH_RUN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TALLY_KERNELS_SIMD_SKETCH_RUN_INL_H_
#undef TALLY_KERNELS_SIMD_SKETCH_RUN_INL_H_
#else
#define TALLY_KERNELS_SIMD_SKETCH_RUN_INL_H_
#endif

#include "hwy/highway.h"

#if TALLY_SIMD_HAS_VECTORS
HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

using WordTag = hn::ScalableTag<uint64_t>;
using WordVector = hn::Vec<WordTag>;

inline constexpr size_t kRunVectors = kSketchRunElements / kLanes;
static_assert(kRunVectors * kLanes == kSketchRunElements, "a run is whole vectors");

// Calls function(j) for each vector j of a run, unrolled.
template <typename Function>
HWY_INLINE void ForEachRunVector(const Function& function) {
  UnrollOver(std::make_index_sequence<kRunVectors>(), function);
}

// A SketchRunHash in one word: first_column above, signs and lane_mask below, as Mix64 left them.
class RunHash {
 public:
  explicit RunHash(uint64_t word) : word_(word) {}

  size_t first_column() const { return word_ >> 32; }
  size_t lane_mask() const { return word_ % kSketchRunElements; }
  // Mask of the lanes of vector `j` that are negated.
  HWY_INLINE FloatMask Negated(size_t j) const {
    const auto signs = static_cast<uint32_t>(word_) >> 4;
    return LoadMask(reinterpret_cast<const uint8_t*>(&signs), j);
  }

 private:
  uint64_t word_;
};

// Mix64 of each lane.
HWY_INLINE WordVector MixLanes(WordVector x) {
  const WordTag tag;
  x = hn::Mul(hn::Xor(x, hn::ShiftRight<30>(x)), hn::Set(tag, uint64_t{0xbf58476d1ce4e5b9}));
  x = hn::Mul(hn::Xor(x, hn::ShiftRight<27>(x)), hn::Set(tag, uint64_t{0x94d049bb133111eb}));
  return hn::Xor(x, hn::ShiftRight<31>(x));
}

// Number of words that HashRuns writes for `num_runs` runs.
constexpr size_t HashWords(size_t num_runs) {
  const size_t word_lanes = hn::MaxLanes(WordTag());
  return (num_runs + word_lanes - 1) / word_lanes * word_lanes;
}

// hashes[r] = HashOfRun(row_key, first_run + r, columns). `hashes` [HashWords(num_runs)], of which
// what follows the first num_runs is unspecified.
HWY_INLINE void HashRuns(uint64_t row_key, uint64_t first_run, size_t num_runs, uint32_t columns,
                         uint64_t* hashes) {
  const WordTag tag;
  const hn::RepartitionToNarrow<WordTag> narrow_tag;
  const auto slots = hn::BitCast(narrow_tag, hn::Set(tag, columns / kSketchRunElements));
  const WordVector low_half = hn::Set(tag, 0xffffffff);
  const WordVector step = hn::Set(tag, kGolden64 * hn::MaxLanes(tag));
  WordVector key = hn::Add(hn::Set(tag, row_key + kGolden64 * first_run),
                           hn::Mul(hn::Iota(tag, 0), hn::Set(tag, kGolden64)));
  for (size_t r = 0; r < num_runs; r += hn::MaxLanes(tag)) {
    const WordVector hash = MixLanes(key);
    key = hn::Add(key, step);
    // ScaleTo: the product of two halves, its upper half.
    const WordVector slot = hn::MulEven(hn::BitCast(narrow_tag, hn::ShiftRight<32>(hash)), slots);
    const WordVector first_column = hn::ShiftLeft<4>(hn::AndNot(low_half, slot));
    hn::StoreU(hn::Or(first_column, hn::And(hash, low_half)), tag, hashes + r);
  }
}

// Brings the vectors of a run into the order of its cells, and back: the same permutation.
class RunOrder {
 public:
  HWY_INLINE RunOrder() {
    const hn::RebindToSigned<FloatTag> tag;
    for (size_t mask = 0; mask < kLanes; ++mask) {
      lanes_[mask] = hn::IndicesFromVec(
          FloatTag(), hn::Xor(hn::Iota(tag, 0), hn::Set(tag, static_cast<int32_t>(mask))));
    }
  }

  // Offset among the run's cells of those that hold vector `j`.
  static constexpr size_t CellsOf(size_t j, size_t lane_mask) {
    return (j * kLanes) ^ (lane_mask & (kSketchRunElements - kLanes));
  }
  HWY_INLINE FloatVector Permute(FloatVector x, size_t lane_mask) const {
    return hn::TableLookupLanes(x, lanes_[lane_mask % kLanes]);
  }

 private:
  decltype(hn::IndicesFromVec(FloatTag(), hn::Zero(hn::RebindToSigned<FloatTag>()))) lanes_[kLanes];
};

HWY_INLINE FloatVector NegateIf(FloatMask mask, FloatVector x) {
  return hn::Xor(x, hn::IfThenElseZero(mask, hn::SignBit(FloatTag())));
}

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // TALLY_SIMD_HAS_VECTORS

#endif  // TALLY_KERNELS_SIMD_SKETCH_RUN_INL_H_
