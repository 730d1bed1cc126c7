#include "tools/status_query.h"

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "base/grpc_status.h"
#include "proto/tally/v1/aggregation.grpc.pb.h"

namespace tally {

absl::StatusOr<v1::GetStatusResponse> QueryStatus(const std::string& address,
                                                  const std::string& job, absl::Duration deadline) {
  // An aggregator is reached as it is named: a proxy of the environment is none of its clients.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const std::unique_ptr<v1::Aggregation::Stub> stub = v1::Aggregation::NewStub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(deadline));
  v1::GetStatusRequest request;
  request.set_job(job);
  v1::GetStatusResponse response;
  const absl::Status status = FromGrpcStatus(stub->GetStatus(&context, request, &response));
  if (!status.ok()) {
    return absl::Status(status.code(), absl::StrCat(address, ": ", status.message()));
  }
  return response;
}

}  // namespace tally
