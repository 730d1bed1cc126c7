#include "client/client.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "client/client_impl.h"
#include "client/transport.h"
#include "client/transport/faulty_transport.h"
#include "client/transport/grpc_transport.h"
#include "kernels/host_backends.h"

namespace tally {

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(ClientOptions options) {
  std::vector<std::string> addresses;
  for (const AggregatorAddress& aggregator : options.aggregators) {
    addresses.push_back(aggregator.address);
  }
  std::unique_ptr<Transport> transport = CreateGrpcTransport(addresses);
  if (!options.faults.empty() && !addresses.empty()) {
    transport = MakeFaultyTransport(std::move(transport), options.faults, addresses.size());
  }
  return ConnectWithTransport(std::move(options), std::move(transport),
                              std::make_shared<RealClock>(), FastestHostBackend());
}

}  // namespace tally
