// The arithmetic of votes on a device.
#ifndef TALLY_KERNELS_DEVICE_DEVICE_VOTES_H_
#define TALLY_KERNELS_DEVICE_DEVICE_VOTES_H_

#include "absl/status/status.h"
#include "kernels/device/device.h"
#include "kernels/device/device_calls.h"
#include "kernels/vote_kernels.h"

namespace tally {

// Part of DeviceBackend.
class DeviceVotes final : public VoteKernels {
 public:
  // Both must outlive this.
  DeviceVotes(DeviceCalls* calls, const VoteKernels* fallback)
      : calls_(*calls), fallback_(*fallback) {}

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

  DeviceCalls& calls_;
  const VoteKernels& fallback_;
};

}  // namespace tally

#endif  // TALLY_KERNELS_DEVICE_DEVICE_VOTES_H_
