// What a worker had seen counted, and counts no more.
#ifndef TALLY_CLIENT_UNDONE_CONTRIBUTION_H_
#define TALLY_CLIENT_UNDONE_CONTRIBUTION_H_

#include <cstdint>

#include "base/buffer.h"
#include "codecs/exchange.h"
#include "codecs/place.h"

namespace tally {

// A contribution of a worker that was evicted, which a result counted that a crash undid before
// the others had it. It has left the worker's residual, and is in no result.
struct UndoneContribution {
  uint32_t chunk = 0;
  Place place;
  Exchange exchange;
  // As it was sent; null where the worker cannot tell what has left its residual: of values of a
  // sketch round, which were chosen among many, of votes, and of dense values.
  SharedBuffer payload;
  // The result before it, if that was of the same exchange: the shared state that a copy in the
  // contribution was of. Null otherwise.
  SharedBuffer mean_before;
};

}  // namespace tally

#endif  // TALLY_CLIENT_UNDONE_CONTRIBUTION_H_
