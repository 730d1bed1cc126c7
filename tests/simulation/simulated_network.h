// The wires between simulated processes.
#ifndef TALLY_TESTS_SIMULATION_SIMULATED_NETWORK_H_
#define TALLY_TESTS_SIMULATION_SIMULATED_NETWORK_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "aggregator/actions.h"
#include "aggregator/worker_message.h"
#include "base/choices.h"
#include "client/incoming.h"
#include "tests/simulation/event_queue.h"

namespace tally {

class SimulatedWorker;

// A stream between a worker and an aggregator: what one side sends the other receives later, in
// order, unless the stream breaks first.
struct SimulatedStream {
  StreamId id = 0;
  SimulatedWorker* worker = nullptr;
  size_t aggregator = 0;
  bool broken = false;
  // When the last message of each direction arrives.
  absl::Time last_up;
  absl::Time last_down;
  // Of the aggregator's side, from Hello on.
  std::unique_ptr<WorkerMessageReader> reader;
  // Of the worker's side.
  std::unique_ptr<IncomingReader> incoming;
};

// What processes share: time, chance and the wires.
class SimulatedNetwork {
 public:
  explicit SimulatedNetwork(uint64_t seed) : choices_(seed, /*purpose=*/1) {}

  EventQueue& events() { return events_; }
  absl::Duration Latency() {
    return choices_.Between(absl::Microseconds(50), absl::Milliseconds(5));
  }
  std::shared_ptr<SimulatedStream> Open(SimulatedWorker* worker, size_t aggregator);
  // Lets nothing through between the two until then.
  void Part(const SimulatedWorker* worker, size_t aggregator, absl::Time until) {
    parted_until_[{worker, aggregator}] = until;
  }
  bool parted(const SimulatedStream& stream) const {
    const auto found = parted_until_.find({stream.worker, stream.aggregator});
    return found != parted_until_.end() && found->second > events_.now();
  }
  // Carries a message to the other side.
  void SendUp(const std::shared_ptr<SimulatedStream>& stream, std::function<void()> receive);
  void SendDown(const std::shared_ptr<SimulatedStream>& stream, std::function<void()> receive);
  // Nothing more arrives; the worker learns of it a little later.
  void Break(const std::shared_ptr<SimulatedStream>& stream, const absl::Status& status);

 private:
  EventQueue events_;
  Choices choices_;
  StreamId next_id_ = 1;
  std::map<std::pair<const SimulatedWorker*, size_t>, absl::Time> parted_until_;
};

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_SIMULATED_NETWORK_H_
