#include "kernels/device/device_votes.h"

#include "base/status_macros.h"

namespace tally {
namespace {

using Election = absl::Status (DeviceQueue::*)(absl::Span<const DeviceElectionArgs>);

// `host` has its spans in the host's memory.
absl::Status Hold(Election election, DeviceElectionArgs host, Lane& lane) {
  TALLY_ASSIGN_OR_RETURN(const auto ballots, lane.InEach(host.ballots));
  TALLY_ASSIGN_OR_RETURN(const auto output, lane.Out(host.output));
  return (lane.queue().*election)({{ballots, host.num_elements, host.draws, output}});
}

}  // namespace

void DeviceVotes::DoBinarise(const BinariseArgs& args) const {
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        BinariseArgs there = args;
        TALLY_ASSIGN_OR_RETURN(there.moment, lane.InOut(args.moment));
        TALLY_ASSIGN_OR_RETURN(there.magnitude, lane.InOut(args.magnitude));
        TALLY_ASSIGN_OR_RETURN(there.gradient, lane.In(args.gradient));
        TALLY_ASSIGN_OR_RETURN(there.bits, lane.Out(args.bits));
        return lane.queue().Binarise(there);
      },
      [&] { return fallback_.Binarise(args); });
}

void DeviceVotes::DoCountVotes(Ballots ballots, size_t num_elements,
                               absl::Span<uint8_t> planes) const {
  calls_.Run(
      [&](Lane& lane) {
        return Hold(&DeviceQueue::CountVotes, {ballots, num_elements, {}, planes}, lane);
      },
      [&] { return fallback_.CountVotes(ballots, num_elements, planes); });
}

void DeviceVotes::DoDrawVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                              absl::Span<uint8_t> bits) const {
  calls_.Run(
      [&](Lane& lane) {
        return Hold(&DeviceQueue::DrawVotes, {ballots, num_elements, draws, bits}, lane);
      },
      [&] { return fallback_.DrawVotes(ballots, num_elements, draws, bits); });
}

void DeviceVotes::DoMajorityVotes(Ballots ballots, size_t num_elements, const DrawStream& draws,
                                  absl::Span<uint8_t> bits) const {
  calls_.Run(
      [&](Lane& lane) {
        return Hold(&DeviceQueue::MajorityVotes, {ballots, num_elements, draws, bits}, lane);
      },
      [&] { return fallback_.MajorityVotes(ballots, num_elements, draws, bits); });
}

void DeviceVotes::DoMeanOfCounts(absl::Span<const uint8_t> planes, uint32_t num_voters,
                                 absl::Span<float> mean) const {
  calls_.Run(
      [&](Lane& lane) -> absl::Status {
        TALLY_ASSIGN_OR_RETURN(const auto device_planes, lane.In(planes));
        TALLY_ASSIGN_OR_RETURN(const auto device_mean, lane.Out(mean));
        return lane.queue().MeanOfCounts(device_planes, num_voters, device_mean);
      },
      [&] { return fallback_.MeanOfCounts(planes, num_voters, mean); });
}

}  // namespace tally
