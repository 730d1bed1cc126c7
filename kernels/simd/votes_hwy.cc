#include "kernels/scalar/votes.h"
#include "kernels/simd/votes.h"

namespace tally {
namespace {
const ScalarVotes kScalar;
}
// Provisional: forwards.
void SimdVotes::DoBinarise(const BinariseArgs& args) const { (void)kScalar.Binarise(args); }
void SimdVotes::DoCountVotes(Ballots ballots, size_t num_elements,
                             absl::Span<uint8_t> planes) const {
  (void)kScalar.CountVotes(ballots, num_elements, planes);
}
void SimdVotes::DoDrawVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                            absl::Span<uint8_t> bits) const {
  (void)kScalar.DrawVotes(ballots, num_elements, draws, bits);
}
void SimdVotes::DoMajorityVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                                absl::Span<uint8_t> bits) const {
  (void)kScalar.MajorityVotes(ballots, num_elements, draws, bits);
}
void SimdVotes::DoMeanOfCounts(absl::Span<const uint8_t> planes, uint32_t num_voters,
                               absl::Span<float> mean) const {
  (void)kScalar.MeanOfCounts(planes, num_voters, mean);
}
}  // namespace tally
