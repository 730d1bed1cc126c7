// Between Abseil's status, which the whole tree speaks, and gRPC's, which only transports see.
#ifndef TALLY_BASE_GRPC_STATUS_H_
#define TALLY_BASE_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace tally {

// Returns a status with the same code and message. Payloads are dropped: nothing in the tree
// attaches any.
grpc::Status ToGrpcStatus(const absl::Status& status);

// Returns a status with the same code and message, without the binary details. Never fails: a code
// that gRPC does not define, which a foreign peer may send, becomes UNKNOWN. The message of an OK
// status is dropped.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace tally

#endif  // TALLY_BASE_GRPC_STATUS_H_
