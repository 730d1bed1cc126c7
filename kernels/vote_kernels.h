// The arithmetic of votes: one bit per element from every worker.
#ifndef TALLY_KERNELS_VOTE_KERNELS_H_
#define TALLY_KERNELS_VOTE_KERNELS_H_

#include <bit>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/philox.h"
#include "kernels/sign_block.h"

namespace tally {

// One bitmap [BitmapBytes(num_elements)] per voter: bit i % 8 of byte i / 8 is the vote for element
// i; unused bits of the last byte are 0. Any alignment.
using Ballots = absl::Span<const absl::Span<const uint8_t>>;

// Bit planes of a count from 0 to num_voters.
constexpr uint32_t CountPlanes(uint32_t num_voters) {
  return static_cast<uint32_t>(std::bit_width(num_voters));
}

// Arguments of VoteKernels::Binarise. All spans of floats have num_elements elements.
struct BinariseArgs {
  absl::Span<float> moment;     // m, in and out
  absl::Span<float> magnitude;  // b, in and out
  absl::Span<const float> gradient;
  float beta = 0;
  float one_minus_beta = 0;
  float magnitude_beta = 0;
  float one_minus_magnitude_beta = 0;
  // first_element is a multiple of 8.
  DrawStream draws;
  // [BitmapBytes(num_elements)] out.
  absl::Span<uint8_t> bits;
};

// Kernels over votes; part of a back end (backend.h), whose rules on threads, order of operations,
// bit-equality and argument errors hold here.
class VoteKernels {
 public:
  virtual ~VoteKernels() = default;
  VoteKernels(const VoteKernels&) = delete;
  VoteKernels& operator=(const VoteKernels&) = delete;

  // Birder's compressor (Peng et al., NeurIPS 2023), fused with the update of its moments:
  //   m = beta * m + one_minus_beta * g
  //   b = magnitude_beta * b + one_minus_magnitude_beta * |g|
  //   u = b > 0 ? m / b : 0, clamped to [-1, 1]
  //   bit = (word >> 8) < floor((1 + u) * 2^23)      word: draws, one per element
  // in fp32, one rounding per operation. So P(bit = 1) is (1 + u) / 2 within 2^-24, and a fair coin
  // where no gradient was ever seen. Unused bits of the last byte are 0.
  absl::Status Binarise(const BinariseArgs& args) const;

  // Counts the ones of each element. `planes` [CountPlanes(num_voters) * BitmapBytes(num_elements)]
  // out: plane p, a bitmap, holds bit p of every count.
  absl::Status CountVotes(Ballots ballots, size_t num_elements, absl::Span<uint8_t> planes) const;
  // bit = r < k, where k is the count of ones among n voters and r = ScaleTo(word, n): 1 with
  // probability k / n. draws.first_element is a multiple of 8. `bits` [BitmapBytes(num_elements)].
  absl::Status DrawVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                         absl::Span<uint8_t> bits) const;
  // bit = 2k > n, or the draw's top bit where 2k = n. As DrawVotes.
  absl::Status MajorityVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                             absl::Span<uint8_t> bits) const;
  // mean[i] = (2k - n) / n in fp32: an exact integer, then one IEEE division. `planes` as
  // CountVotes writes it, of counts up to `num_voters` (at most 65,536).
  absl::Status MeanOfCounts(absl::Span<const uint8_t> planes, uint32_t num_voters,
                            absl::Span<float> mean) const;

 protected:
  VoteKernels() = default;

 private:
  // The same operations on arguments that were checked and are not empty.
  virtual void DoBinarise(const BinariseArgs& args) const = 0;
  virtual void DoCountVotes(Ballots ballots, size_t num_elements,
                            absl::Span<uint8_t> planes) const = 0;
  virtual void DoDrawVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                           absl::Span<uint8_t> bits) const = 0;
  virtual void DoMajorityVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                               absl::Span<uint8_t> bits) const = 0;
  virtual void DoMeanOfCounts(absl::Span<const uint8_t> planes, uint32_t num_voters,
                              absl::Span<float> mean) const = 0;
};

}  // namespace tally

#endif  // TALLY_KERNELS_VOTE_KERNELS_H_
