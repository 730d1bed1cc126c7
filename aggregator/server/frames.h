// Messages <-> gRPC's byte buffers, without copying payloads on the way out.
#ifndef TALLY_AGGREGATOR_SERVER_FRAMES_H_
#define TALLY_AGGREGATOR_SERVER_FRAMES_H_

#include <grpcpp/support/byte_buffer.h>

#include <vector>

#include "absl/status/status.h"
#include "aggregator/chunk_log.h"
#include "aggregator/residual_custody.h"
#include "proto/tally/v1/aggregation.pb.h"

namespace tally {

grpc::ByteBuffer EncodeMessage(const v1::ServerMessage& message);

// The slices of a result, ready to be written to any number of streams: copies of a ByteBuffer
// share its bytes, and the bytes of the payload are the result's own, which the buffers keep alive.
std::vector<grpc::ByteBuffer> EncodeResult(const StoredResult& result);
// The same for a snapshot.
std::vector<grpc::ByteBuffer> EncodeSnapshot(const ResidualSnapshot& snapshot);

// Returns INVALID_ARGUMENT if the bytes are not a ClientMessage.
absl::Status ParseMessage(grpc::ByteBuffer* bytes, v1::ClientMessage* message);

}  // namespace tally

#endif  // TALLY_AGGREGATOR_SERVER_FRAMES_H_
