#include "aggregator/server/aggregation_service.h"

#include "absl/strings/str_cat.h"
#include "aggregator/server/exchange_stream.h"
#include "base/grpc_status.h"
#include "codecs/duration.h"

namespace tally {

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* AggregationService::Exchange(
    grpc::CallbackServerContext* context) {
  return new ExchangeStream(dispatcher_, context);
}

grpc::ServerUnaryReactor* AggregationService::GetStatus(grpc::CallbackServerContext* context,
                                                        const v1::GetStatusRequest* request,
                                                        v1::GetStatusResponse* response) {
  *response = dispatcher_->Status(request->job());
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  if (!request->job().empty() && response->jobs().empty()) {
    reactor->Finish(ToGrpcStatus(absl::NotFoundError(
        absl::StrCat("`job` = \"", request->job(), "\", must be a job that runs here"))));
  } else {
    reactor->Finish(grpc::Status::OK);
  }
  return reactor;
}

grpc::ServerUnaryReactor* AggregationService::Drain(grpc::CallbackServerContext* context,
                                                    const v1::DrainRequest* request,
                                                    v1::DrainResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  absl::Duration timeout = drain_timeout_;
  if (request->has_deadline()) {
    timeout = DecodeDuration(request->deadline());
  }
  if (timeout < absl::ZeroDuration()) {
    reactor->Finish(ToGrpcStatus(absl::InvalidArgumentError(
        absl::StrCat("`deadline` = ", absl::FormatDuration(timeout), ", must not be negative"))));
    return reactor;
  }
  on_drain_();
  dispatcher_->Drain(timeout, [reactor, response](uint32_t unfinished) {
    response->set_unfinished(unfinished);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

}  // namespace tally
