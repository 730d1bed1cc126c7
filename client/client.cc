#include "client/client.h"

#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status_macros.h"
#include "client/client_impl.h"
#include "client/transport/grpc_transport.h"
#include "kernels/backends.h"

namespace tally {

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(ClientOptions options) {
  TALLY_ASSIGN_OR_RETURN(const Backend* backend, FindBackend("auto"));
  std::vector<std::string> addresses;
  for (const AggregatorAddress& aggregator : options.aggregators) {
    addresses.push_back(aggregator.address);
  }
  return ConnectWithTransport(std::move(options), CreateGrpcTransport(addresses),
                              std::make_shared<RealClock>(), backend);
}

}  // namespace tally
