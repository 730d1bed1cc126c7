// The client around its session: locks, threads and a transport.
#ifndef TALLY_CLIENT_CLIENT_IMPL_H_
#define TALLY_CLIENT_CLIENT_IMPL_H_

#include <memory>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "client/client.h"
#include "client/client_options.h"
#include "client/transport.h"
#include "kernels/backend.h"

namespace tally {

// Client::Connect over any transport, by any clock: the seam for tests. `backend` checks payloads;
// it outlives the client. Errors as Client::Connect.
absl::StatusOr<std::unique_ptr<Client>> ConnectWithTransport(ClientOptions options,
                                                             std::unique_ptr<Transport> transport,
                                                             std::shared_ptr<const Clock> clock,
                                                             const Backend* backend);

}  // namespace tally

#endif  // TALLY_CLIENT_CLIENT_IMPL_H_
