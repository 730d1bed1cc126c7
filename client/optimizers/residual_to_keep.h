// What a worker that was evicted comes again with.
#ifndef TALLY_CLIENT_OPTIMIZERS_RESIDUAL_TO_KEEP_H_
#define TALLY_CLIENT_OPTIMIZERS_RESIDUAL_TO_KEEP_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/client.h"
#include "client/optimizers/optimizer.h"
#include "client/undone_contribution.h"
#include "codecs/layout.h"

namespace tally {

// Once Step has returned ABORTED: the residual that `optimizer` leaves [num_compressed of the
// layout], with what others have handed over to it (TakeInheritances), and with those of its
// contributions that a crash undid (Client::TakeUndone), less the copy of shared state in them.
// The next process's optimizer takes it as an inheritance: Inherit(0, residual). Empty for methods
// without one. Of undone contributions those are lost, and with them only what they had got across,
// of which nobody can tell what they took out, or of what they hold a copy.
// Returns as TakeInheritances.
absl::StatusOr<std::vector<float>> ResidualToKeep(Client* client, Optimizer* optimizer);

// Adds to `residual` [num_compressed] what left it with that contribution, if that can be told;
// `shared_share` is the optimizer's.
// Returns INVALID_ARGUMENT if the payload is not one of its exchange.
absl::Status PutBack(const UndoneContribution& undone, const Layout& layout, float shared_share,
                     absl::Span<float> residual);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_RESIDUAL_TO_KEEP_H_
