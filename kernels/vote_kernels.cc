#include "kernels/vote_kernels.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/argument_checks.h"

namespace tally {
namespace {

// Draws start at a byte of the bitmap.
constexpr uint64_t kFirstElementMultiple = 8;
// The protocol's largest roster; sums of counts stay exact far beyond.
constexpr size_t kMaxVoters = 65'536;

absl::Status CheckDraws(const DrawStream& draws) {
  if (draws.first_element % kFirstElementMultiple == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("`draws.first_element` = ", draws.first_element,
                                                 ", must be a multiple of ",
                                                 kFirstElementMultiple));
}

absl::Status CheckNumVoters(ArgumentName name, size_t num_voters) {
  if (num_voters >= 1 && num_voters <= kMaxVoters) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("`", name.name, "` has ", num_voters, " voters, must have 1 to ", kMaxVoters));
}

absl::Status CheckBallots(Ballots ballots, size_t num_elements, ArgumentName output_name,
                          absl::Span<uint8_t> output) {
  TALLY_RETURN_IF_ERROR(CheckNumVoters("ballots", ballots.size()));
  std::vector<ArgumentMemory> memory = {ArgumentMemory::Written(output_name, output)};
  for (size_t n = 0; n < ballots.size(); ++n) {
    TALLY_RETURN_IF_ERROR(CheckSize({"ballots", n}, ballots[n].size(), BitmapBytes(num_elements),
                                    "bytes", num_elements));
    memory.push_back(ArgumentMemory::Read({"ballots", n}, ballots[n]));
  }
  return CheckDisjoint(memory);
}

absl::Status CheckElection(Ballots ballots, size_t num_elements, const DrawStream& draws,
                           absl::Span<uint8_t> bits) {
  TALLY_RETURN_IF_ERROR(CheckDraws(draws));
  TALLY_RETURN_IF_ERROR(
      CheckSize("bits", bits.size(), BitmapBytes(num_elements), "bytes", num_elements));
  return CheckBallots(ballots, num_elements, "bits", bits);
}

}  // namespace

absl::Status VoteKernels::Binarise(const BinariseArgs& args) const {
  const size_t num_elements = args.moment.size();
  TALLY_RETURN_IF_ERROR(
      CheckSize("magnitude", args.magnitude.size(), num_elements, "values", num_elements));
  TALLY_RETURN_IF_ERROR(
      CheckSize("gradient", args.gradient.size(), num_elements, "values", num_elements));
  TALLY_RETURN_IF_ERROR(
      CheckSize("bits", args.bits.size(), BitmapBytes(num_elements), "bytes", num_elements));
  TALLY_RETURN_IF_ERROR(CheckDraws(args.draws));
  TALLY_RETURN_IF_ERROR(CheckDisjoint({ArgumentMemory::Written("moment", args.moment),
                                       ArgumentMemory::Written("magnitude", args.magnitude),
                                       ArgumentMemory::Written("bits", args.bits),
                                       ArgumentMemory::Read("gradient", args.gradient)}));
  if (num_elements > 0) DoBinarise(args);
  return absl::OkStatus();
}

absl::Status VoteKernels::CountVotes(Ballots ballots, size_t num_elements,
                                     absl::Span<uint8_t> planes) const {
  TALLY_RETURN_IF_ERROR(CheckNumVoters("ballots", ballots.size()));
  const size_t num_planes = CountPlanes(static_cast<uint32_t>(ballots.size()));
  TALLY_RETURN_IF_ERROR(CheckSize("planes", planes.size(), num_planes * BitmapBytes(num_elements),
                                  "bytes", num_elements));
  TALLY_RETURN_IF_ERROR(CheckBallots(ballots, num_elements, "planes", planes));
  if (num_elements > 0) DoCountVotes(ballots, num_elements, planes);
  return absl::OkStatus();
}

absl::Status VoteKernels::DrawVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                                    absl::Span<uint8_t> bits) const {
  TALLY_RETURN_IF_ERROR(CheckElection(ballots, num_elements, draws, bits));
  if (num_elements > 0) DoDrawVotes(ballots, num_elements, draws, bits);
  return absl::OkStatus();
}

absl::Status VoteKernels::MajorityVotes(Ballots ballots, size_t num_elements,
                                        const DrawStream& draws, absl::Span<uint8_t> bits) const {
  TALLY_RETURN_IF_ERROR(CheckElection(ballots, num_elements, draws, bits));
  if (num_elements > 0) DoMajorityVotes(ballots, num_elements, draws, bits);
  return absl::OkStatus();
}

absl::Status VoteKernels::MeanOfCounts(absl::Span<const uint8_t> planes, uint32_t num_voters,
                                       absl::Span<float> mean) const {
  TALLY_RETURN_IF_ERROR(CheckNumVoters("num_voters", num_voters));
  TALLY_RETURN_IF_ERROR(CheckSize("planes", planes.size(),
                                  CountPlanes(num_voters) * BitmapBytes(mean.size()), "bytes",
                                  mean.size()));
  TALLY_RETURN_IF_ERROR(CheckDisjoint(
      {ArgumentMemory::Written("mean", mean), ArgumentMemory::Read("planes", planes)}));
  if (!mean.empty()) DoMeanOfCounts(planes, num_voters, mean);
  return absl::OkStatus();
}

}  // namespace tally
