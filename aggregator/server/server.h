// An aggregator that listens.
#ifndef TALLY_AGGREGATOR_SERVER_SERVER_H_
#define TALLY_AGGREGATOR_SERVER_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "kernels/backend.h"

namespace tally {

struct ServerOptions {
  // The aggregator's name in the jobs' lists; 1 to 255 bytes.
  std::string name;
  // "host:port" or "unix:/path"; port 0 takes a free one.
  std::string listen;
  // A quarter is the transport's, another one pinned where there is a device, the rest is admitted
  // to jobs. At least 64 MiB.
  uint64_t memory_limit_bytes = uint64_t{2} << 30;
  // Of the back end's device, if it has one; 0: as much as it has.
  uint64_t device_memory_limit_bytes = 0;
  // Called once when that has failed and residuals are lost with it: exchanges wait then, and only
  // a new process, which reads the runs back from their workers, helps. Unset: aborts.
  std::function<void(const absl::Status&)> on_residual_lost = nullptr;
  uint32_t window_chunks = 16;  // at least 1
  int num_compute_threads = 1;  // at least 1
  absl::Duration silence_limit = absl::Seconds(30);
  absl::Duration forget_after = absl::Seconds(30);
  absl::Duration drain_timeout = absl::Seconds(20);
  // When a silent member is held for dead (aggregator/eviction.h); minority_after is at least
  // evict_after.
  absl::Duration evict_after = absl::Seconds(30);
  absl::Duration minority_after = absl::Seconds(120);
  // When one is that is heard, but never contributes.
  absl::Duration progress_after = absl::Minutes(5);
  // How long after its start the aggregator waits for members to come before it may evict any.
  absl::Duration recover_after = absl::Seconds(30);
};

// For people: "simd", or "cuda (NVIDIA H200, compute capability 9.0, 139.8 GiB)".
std::string BackendDescription(const Backend& backend);

// The service of proto/tally/v1/aggregation.proto, with gRPC's health service ("" and
// "tally.v1.Aggregation") and server reflection. Thread-safe.
class Server {
 public:
  // Listens when it returns. `backend` and `clock` must outlive the server.
  // Returns INVALID_ARGUMENT, naming the option, if one breaks its rule; UNAVAILABLE if the address
  // cannot be listened on, or the device has failed; RESOURCE_EXHAUSTED if the device's memory does
  // not suffice to begin with.
  static absl::StatusOr<std::unique_ptr<Server>> Create(const ServerOptions& options,
                                                        const Backend* backend, const Clock* clock);
  // Cuts off whatever is under way.
  virtual ~Server() = default;

  // The port that it listens on; 0 for a Unix socket.
  virtual int port() const = 0;

  // Turns its health to NOT_SERVING, lets the rounds under way end, for `drain_timeout` at most,
  // and closes all streams. Returns the number of exchanges that were cut off. Blocks.
  virtual uint32_t Drain() = 0;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_SERVER_SERVER_H_
