// How much of an optimizer's state is meant.
#ifndef TALLY_CLIENT_STATE_SCOPE_H_
#define TALLY_CLIENT_STATE_SCOPE_H_

#include <cstdint>

namespace tally {

enum class StateScope : uint8_t {
  kWhole,   // to go on as this worker
  kShared,  // to go on as another worker: without what this one keeps to itself, its residual
};

}  // namespace tally

#endif  // TALLY_CLIENT_STATE_SCOPE_H_
