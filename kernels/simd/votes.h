// The kernels over votes, in vectors.
#ifndef TALLY_KERNELS_SIMD_VOTES_H_
#define TALLY_KERNELS_SIMD_VOTES_H_

#include "kernels/vote_kernels.h"

namespace tally {

class SimdVotes final : public VoteKernels {
 public:
  SimdVotes() = default;

 private:
  void DoBinarise(const BinariseArgs& args) const override;
  void DoCountVotes(Ballots ballots, size_t num_elements,
                    absl::Span<uint8_t> planes) const override;
  void DoDrawVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                   absl::Span<uint8_t> bits) const override;
  void DoMajorityVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                       absl::Span<uint8_t> bits) const override;
  void DoMeanOfCounts(absl::Span<const uint8_t> planes, uint32_t num_voters,
                      absl::Span<float> mean) const override;
};

}  // namespace tally

#endif  // TALLY_KERNELS_SIMD_VOTES_H_
