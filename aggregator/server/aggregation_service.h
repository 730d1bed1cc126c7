// proto/tally/v1/aggregation.proto's service over a dispatcher.
#ifndef TALLY_AGGREGATOR_SERVER_AGGREGATION_SERVICE_H_
#define TALLY_AGGREGATOR_SERVER_AGGREGATION_SERVICE_H_

#include <functional>
#include <utility>

#include "absl/time/time.h"
#include "aggregator/server/dispatcher.h"
#include "proto/tally/v1/aggregation.grpc.pb.h"

namespace tally {

// Exchange moves raw bytes, so that payloads are not copied through messages; the other calls are
// ordinary ones.
using AggregationServiceBase =
    v1::Aggregation::WithRawCallbackMethod_Exchange<v1::Aggregation::WithCallbackMethod_GetStatus<
        v1::Aggregation::WithCallbackMethod_Drain<v1::Aggregation::Service>>>;

class AggregationService final : public AggregationServiceBase {
 public:
  // `dispatcher` must outlive the service. `on_drain` is called when somebody asks for a drain,
  // before it begins.
  AggregationService(Dispatcher* dispatcher, absl::Duration drain_timeout,
                     std::function<void()> on_drain)
      : dispatcher_(dispatcher), drain_timeout_(drain_timeout), on_drain_(std::move(on_drain)) {}

  // The generated base has synchronous forms of the same names; they are never called.
  using AggregationServiceBase::Drain;
  using AggregationServiceBase::Exchange;
  using AggregationServiceBase::GetStatus;

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Exchange(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context,
                                  const v1::DrainRequest* request,
                                  v1::DrainResponse* response) override;

 private:
  Dispatcher* const dispatcher_;
  const absl::Duration drain_timeout_;
  const std::function<void()> on_drain_;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_SERVER_AGGREGATION_SERVICE_H_
