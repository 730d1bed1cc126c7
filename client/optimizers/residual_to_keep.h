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
// contributions that a crash undid (Client::TakeUndone). The next process's optimizer takes it as
// an inheritance: Inherit(0, residual). Empty for methods without one.
// Returns as TakeInheritances and PutBack.
absl::StatusOr<std::vector<float>> ResidualToKeep(Client* client, Optimizer* optimizer);

// Adds to `residual` [num_compressed] what left it with that contribution: what it stands for, less
// the copy of shared state in it. Nothing where that cannot be told: without the payload, or
// without the result before if there is a copy.
// Returns INVALID_ARGUMENT if a payload is not one of its exchange; INTERNAL if a device fails.
absl::Status PutBack(const UndoneContribution& undone, const Layout& layout,
                     const Optimizer& optimizer, absl::Span<float> residual);

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_RESIDUAL_TO_KEEP_H_
