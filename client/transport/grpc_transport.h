// Streams over gRPC.
#ifndef TALLY_CLIENT_TRANSPORT_GRPC_TRANSPORT_H_
#define TALLY_CLIENT_TRANSPORT_GRPC_TRANSPORT_H_

#include <memory>
#include <string>
#include <vector>

#include "client/transport.h"

namespace tally {

// A transport to the aggregators that listen at `addresses` ("host:port" or "unix:/path"), each
// over a connection of its own, unencrypted. Payloads are not copied on their way out. A connection
// that has gone silent for 30 s is given up; connecting is tried at most every 2 s.
std::unique_ptr<Transport> CreateGrpcTransport(const std::vector<std::string>& addresses);

}  // namespace tally

#endif  // TALLY_CLIENT_TRANSPORT_GRPC_TRANSPORT_H_
