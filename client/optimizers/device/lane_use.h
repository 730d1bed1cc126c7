// One function's use of a lane.
#ifndef TALLY_CLIENT_OPTIMIZERS_DEVICE_LANE_USE_H_
#define TALLY_CLIENT_OPTIMIZERS_DEVICE_LANE_USE_H_

#include "kernels/device/lane.h"

namespace tally {

// Abandons the lane when it goes: whatever a function has enqueued and not finished, because
// something failed, is over before the memory goes that it reads or writes. So it is declared after
// that memory.
class LaneUse {
 public:
  explicit LaneUse(Lane* lane) : lane_(*lane) {}
  ~LaneUse() { lane_.Abandon(); }
  LaneUse(const LaneUse&) = delete;
  LaneUse& operator=(const LaneUse&) = delete;

 private:
  Lane& lane_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_DEVICE_LANE_USE_H_
