// What workers that left hand to one that stays joins its residual.
#ifndef TALLY_CLIENT_OPTIMIZERS_TAKE_INHERITANCES_H_
#define TALLY_CLIENT_OPTIMIZERS_TAKE_INHERITANCES_H_

#include "absl/status/status.h"
#include "client/client.h"
#include "client/optimizers/optimizer.h"

namespace tally {

// Between two steps, after each: takes what has come (Client::TakeInheritances) into the residual.
// The worker's saved state holds it from then on. If the method has no residual now, it is dropped.
// Returns as Optimizer::Inherit.
absl::Status TakeInheritances(Client* client, Optimizer* optimizer);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_TAKE_INHERITANCES_H_
