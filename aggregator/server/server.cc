#include "aggregator/server/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "aggregator/device_runner.h"
#include "aggregator/exchange_runner.h"
#include "aggregator/host_runner.h"
#include "aggregator/server/aggregation_service.h"
#include "base/byte_size.h"
#include "base/logging.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "codecs/limits.h"
#include "kernels/device/device.h"
#include "kernels/host_backends.h"

namespace tally {
namespace {

// Of a Hello (membership.proto); payloads come in slices far below it.
constexpr int kMaxMessageBytes = 16 << 20;
constexpr int kKeepaliveMs = 20'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
// Clients may ping this often without being sent away.
constexpr int kMinPingIntervalMs = 5'000;
constexpr std::chrono::seconds kLastWords(2);
// A quarter of it lets the transport take the largest message.
constexpr uint64_t kMinMemoryBytes = 4 * kMaxMessageBytes;
// While one batch computes, others are copied in, or out and encoded.
constexpr int kMaxDeviceLanes = 4;
// Enough chunks of signs that a launch costs little beside them.
constexpr uint64_t kMaxBatchBytes = 32 << 20;

absl::Status Validate(const ServerOptions& options) {
  if (options.name.empty() || options.name.size() > kMaxNameBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("`name` has ", options.name.size(), " bytes, must have 1 to ", kMaxNameBytes));
  }
  if (options.listen.empty()) {
    return absl::InvalidArgumentError(
        "`listen` = \"\", must be host:port, where port 0 takes a free one, or unix:/path");
  }
  if (options.memory_limit_bytes < kMinMemoryBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("`memory_limit` = ", FormatByteSize(options.memory_limit_bytes),
                     ", must be at least ", FormatByteSize(kMinMemoryBytes)));
  }
  if (options.window_chunks < 1) {
    return absl::InvalidArgumentError("`window_chunks` = 0, must be at least 1");
  }
  if (options.num_compute_threads < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`num_compute_threads` = ", options.num_compute_threads, ", must be at least 1"));
  }
  const auto check_positive = [](absl::string_view field, absl::Duration value) {
    if (value > absl::ZeroDuration()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("`", field, "` = ", absl::FormatDuration(value), ", must be positive"));
  };
  TALLY_RETURN_IF_ERROR(check_positive("silence_limit", options.silence_limit));
  TALLY_RETURN_IF_ERROR(check_positive("forget_after", options.forget_after));
  TALLY_RETURN_IF_ERROR(check_positive("evict_after", options.evict_after));
  TALLY_RETURN_IF_ERROR(check_positive("recover_after", options.recover_after));
  TALLY_RETURN_IF_ERROR(check_positive("progress_after", options.progress_after));
  if (options.minority_after < options.evict_after) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`minority_after` = ", absl::FormatDuration(options.minority_after),
        ", must be at least `evict_after` = ", absl::FormatDuration(options.evict_after)));
  }
  return check_positive("drain_timeout", options.drain_timeout);
}

// Who is evicted too soon comes again, but its residual is lost, and the run's bits are others.
void WarnIfHasty(const ServerOptions& options) {
  constexpr absl::Duration kSoonest = absl::Seconds(4 * kLongestReconnectPauseSeconds);
  if (options.evict_after < kSoonest) {
    LogWarning(absl::StrCat("`evict_after` = ", absl::FormatDuration(options.evict_after),
                            ", should be at least ", absl::FormatDuration(kSoonest),
                            ": workers try again every ", kLongestReconnectPauseSeconds, " s"));
  }
  if (options.recover_after < options.evict_after) {
    LogWarning(absl::StrCat(
        "`recover_after` = ", absl::FormatDuration(options.recover_after),
        ", should be at least `evict_after` = ", absl::FormatDuration(options.evict_after)));
  }
}

// Where there is a device a quarter of the memory is pinned for it, half of that for contributions
// and results (from the start, so it counts though it is not in use), half for the lanes.
uint64_t PinnedBytes(const ServerOptions& options, const Backend& backend) {
  return backend.device() == nullptr ? 0 : options.memory_limit_bytes / 4;
}

EngineOptions MakeEngineOptions(const ServerOptions& options, uint64_t pinned_bytes,
                                const Clock& clock) {
  EngineOptions engine{.name = options.name,
                       .memory_limit_bytes = options.memory_limit_bytes / 4 * 3 - pinned_bytes,
                       .window_chunks = options.window_chunks,
                       .forget_after = options.forget_after,
                       .silence_limit = options.silence_limit,
                       .eviction = {.evict_after = options.evict_after,
                                    .minority_after = options.minority_after,
                                    .progress_after = options.progress_after},
                       .recover_after = options.recover_after};
  engine.instance.set_start_us(static_cast<uint64_t>(absl::ToUnixMicros(clock.Now())));
  std::random_device random;
  engine.instance.set_random((uint64_t{random()} << 32) | random());
  return engine;
}

// What is to be done on the host when the back end computes on a device.
const Backend* HostBackendFor(const Backend* backend) {
  return backend->device() == nullptr ? backend : FastestHostBackend();
}

[[noreturn]] void Abort(const absl::Status& loss) {
  LogError(loss.ToString());
  std::abort();
}

absl::StatusOr<std::unique_ptr<ExchangeRunner>> MakeRunner(const ServerOptions& options,
                                                           const Backend* backend) {
  Device* const device = backend->device();
  if (device == nullptr) {
    return std::make_unique<HostRunner>(backend, options.num_compute_threads);
  }
  if (options.device_memory_limit_bytes > 0) {
    device->LimitMemory(options.device_memory_limit_bytes);
  }
  device->LimitPinned(PinnedBytes(options, *backend));
  return DeviceRunner::Create(
      device, HostBackendFor(backend),
      {.num_lanes = std::min(options.num_compute_threads, kMaxDeviceLanes),
       .max_batch_bytes = kMaxBatchBytes,
       .max_pinned_bytes = PinnedBytes(options, *backend) / 2,
       .on_residual_lost = options.on_residual_lost != nullptr ? options.on_residual_lost : Abort});
}

class GrpcServer final : public Server {
 public:
  GrpcServer(const ServerOptions& options, std::unique_ptr<ExchangeRunner> runner,
             const Backend* backend, const Clock* clock)
      : drain_timeout_(options.drain_timeout),
        dispatcher_(MakeEngineOptions(options, PinnedBytes(options, *backend), *clock),
                    std::move(runner), BackendDescription(*backend), HostBackendFor(backend),
                    clock),
        service_(&dispatcher_, options.drain_timeout, [this] { StopServing(); }) {}

  ~GrpcServer() override {
    // Whoever waits in a Drain call gets his answer.
    dispatcher_.Drain(absl::ZeroDuration(), [](uint32_t) {});
    // Cancels what is left and waits until no reaction runs: the dispatcher outlives all streams.
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  }

  absl::Status Listen(const ServerOptions& options) {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    grpc::ResourceQuota quota("tally");
    quota.Resize(options.memory_limit_bytes / 4);
    builder.SetResourceQuota(quota);
    builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               kMinPingIntervalMs);
    // Two processes on one port would each hold half of a job.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      return absl::UnavailableError(absl::StrCat(
          "`listen` = \"", options.listen, "\", must be an address that can be listened on here"));
    }
    // gRPC calls the port of a Unix socket 1.
    if (absl::StartsWith(options.listen, "unix:")) port_ = 0;
    const MutexLock lock(&mutex_);
    health_ = server_->GetHealthCheckService();
    health_->SetServingStatus(v1::Aggregation::service_full_name(), true);
    if (!serving_) health_->SetServingStatus(false);
    return absl::OkStatus();
  }

  int port() const override { return port_; }

  uint32_t Drain() override {
    StopServing();
    std::promise<uint32_t> unfinished;
    dispatcher_.Drain(drain_timeout_,
                      [&unfinished](uint32_t count) { unfinished.set_value(count); });
    const uint32_t count = unfinished.get_future().get();
    // What was cut off gets its last words.
    server_->Shutdown(std::chrono::system_clock::now() + kLastWords);
    return count;
  }

 private:
  // Also by a call that comes in before BuildAndStart has returned.
  void StopServing() {
    const MutexLock lock(&mutex_);
    serving_ = false;
    if (health_ != nullptr) health_->SetServingStatus(false);
  }

  const absl::Duration drain_timeout_;
  Mutex mutex_;
  bool serving_ ABSL_GUARDED_BY(mutex_) = true;
  grpc::HealthCheckServiceInterface* health_ ABSL_GUARDED_BY(mutex_) = nullptr;
  Dispatcher dispatcher_;
  AggregationService service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace

std::string BackendDescription(const Backend& backend) {
  const Device* const device = backend.device();
  return device == nullptr ? std::string(backend.name())
                           : absl::StrCat(backend.name(), " (", device->description(), ")");
}

absl::StatusOr<std::unique_ptr<Server>> Server::Create(const ServerOptions& options,
                                                       const Backend* backend, const Clock* clock) {
  TALLY_RETURN_IF_ERROR(Validate(options));
  WarnIfHasty(options);
  TALLY_ASSIGN_OR_RETURN(std::unique_ptr<ExchangeRunner> runner, MakeRunner(options, backend));
  auto server = std::make_unique<GrpcServer>(options, std::move(runner), backend, clock);
  TALLY_RETURN_IF_ERROR(server->Listen(options));
  return server;
}

}  // namespace tally
